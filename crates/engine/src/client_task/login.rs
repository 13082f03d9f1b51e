//! From the first byte to a place inside.

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::SystemTime;

use howdah_core::client::{Identity, Login, LoginNext, LoginSeeds, MAX_LOGIN_BYTES, Peer};
use howdah_core::facts::{Address, CloseReason};
use howdah_core::pool::{Condition, PoolKey};
use howdah_core::refusal;
use howdah_core::server::OpenError;
use howdah_core::session::{Beginning, Parameters, Session, Trial, Tried};
use howdah_core::settings::Settings;
use howdah_wire::backend::{self, TransactionStatus};
use howdah_wire::error_response::{ErrorResponse, Severity};
use howdah_wire::secret::Secret;
use howdah_wire::sqlstate::SqlState;

use super::Visit;
use super::checkout::settle;
use crate::client_card::{Caller, ClientCard, Guest};
use crate::control::with_pools;
use crate::logins::Overdue;
use crate::shared::{Route, Welcome};

/// Who has been let in.
pub(super) enum Admitted {
    /// A client to be served.
    Client(Rc<ClientCard>),
    /// Somebody for the admin console.
    Console(Box<Identity>),
}

impl Visit {
    /// # Errors
    /// The client is not let in, or was none; what there was to say has been said.
    pub(super) async fn login(&mut self) -> Result<Admitted, CloseReason> {
        let worker = Rc::clone(&self.worker);
        let settings = worker.settings();
        let until = settings.timeouts.client_login.map(|limit| worker.now() + limit);
        let proved = {
            let proving = std::pin::pin!(self.prove(settings));
            worker.logins.limit(until, proving).await
        };
        let identity = proved.unwrap_or_else(|Overdue| {
            self.say(&refusal::login_timeout());
            Err(CloseReason::ClientLoginTimeout)
        })?;
        // They may have changed while it was proving who it is.
        let settings = worker.settings();
        self.use_what_it_proved(&identity, &settings);
        if let Err(error) = self.admit(&identity, &settings) {
            return Err(self.refuse(&error, &identity));
        }
        if identity.admin.is_some() {
            return Ok(Admitted::Console(identity));
        }
        self.welcome(*identity, &settings).await.map(Admitted::Client)
    }

    /// Who is it?
    async fn prove(&mut self, settings: Arc<Settings>) -> Result<Box<Identity>, CloseReason> {
        let mut seeds = LoginSeeds { md5_salt: [0; 4], scram_nonce: [0; 18] };
        self.worker.random(&mut seeds.md5_salt);
        self.worker.random(&mut seeds.scram_nonce);
        let peer = self.peer();
        let login = Login::new(settings, Arc::clone(&self.worker.shared.credentials), peer.clone(), seeds);
        let mut login = login.ask_to_hash();
        let mut replies = Vec::with_capacity(ROOM_FOR_REPLIES);
        self.read_at_once(MAX_LOGIN_BYTES)?;
        loop {
            let (eaten, next) = login.on_bytes(&self.conn.held, &mut replies);
            self.conn.consume(eaten);
            if !matches!(next, LoginNext::Welcome(_)) {
                self.conn.send(&self.worker.outbox, &replies).map_err(|_| CloseReason::ClientVanished)?;
                replies.clear();
            }
            match next {
                LoginNext::More if eaten > 0 && !self.conn.held.is_empty() => {}
                LoginNext::More => {
                    if !self.conn.held.is_empty() {
                        self.conn.socket.acknowledge();
                    }
                    self.read_more(MAX_LOGIN_BYTES).await?;
                }
                LoginNext::Hash => {
                    self.worker.turn_to_hash(|| login.has_to_hash()).await;
                    login.may_hash();
                }
                LoginNext::Welcome(identity) => {
                    // What lets the client in goes out together with what welcomes it.
                    self.conn.hold_back(replies);
                    return Ok(identity);
                }
                LoginNext::Cancel(key) => {
                    self.worker.cancel(&key).await;
                    return Err(CloseReason::ClientTerminated);
                }
                LoginNext::Close(reason) => {
                    log_refusal(&login, &peer, reason);
                    return Err(reason);
                }
            }
        }
    }

    /// A proof against a SCRAM secret brings the key that pools of this user may have been waiting for.
    fn use_what_it_proved(&self, identity: &Identity, settings: &Settings) {
        if let Some(Secret::Scram(_)) = settings.secrets.get(&*identity.user) {
            let waited_for_it = |key: &PoolKey, error: &OpenError| {
                key.user == identity.user && matches!(error, OpenError::NotYetKnown { .. })
            };
            with_pools(&self.worker.shared, |pools, now, fx| pools.try_again(waited_for_it, now, fx));
        }
    }

    fn peer(&self) -> Peer {
        let credentials = self.conn.socket.peer_credentials();
        Peer {
            address: self.peer_address(),
            unix: self.conn.socket.is_unix(),
            pid: credentials.and_then(|credentials| credentials.pid),
            same_user: credentials.is_some_and(|c| c.uid == rustix::process::geteuid().as_raw()),
        }
    }

    fn peer_address(&self) -> Address {
        let of_card = || self.card.as_ref().map(|card| card.caller.peer);
        self.ends.as_ref().map(|ends| ends.peer).or_else(of_card).unwrap_or_default()
    }

    /// Reads what a new client has said by now: most have, since the kernel keeps back those that have not.
    fn read_at_once(&mut self, limit: usize) -> Result<(), CloseReason> {
        match self.conn.fill_now(&mut self.worker.scratch.borrow_mut().buffer, limit) {
            Ok(0) => Err(CloseReason::ClientVanished),
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            Err(_) => Err(CloseReason::ClientVanished),
        }
    }

    /// Reads more of what the client sends; a client that has closed is gone.
    pub(super) async fn read_more(&mut self, limit: usize) -> Result<(), CloseReason> {
        let (worker, conn) = (&self.worker, &mut self.conn);
        let read =
            std::future::poll_fn(|cx| conn.poll_fill(cx, &mut worker.scratch.borrow_mut().buffer, limit))
                .await;
        match read {
            Ok(0) | Err(_) => Err(CloseReason::ClientVanished),
            Ok(_) => Ok(()),
        }
    }

    fn admit(&mut self, identity: &Identity, settings: &Settings) -> Result<(), ErrorResponse> {
        let shared = &self.worker.shared;
        if identity.admin.is_none() {
            if shared.is_closing() {
                return Err(refusal::shutting_down());
            }
            if shared.pools.lock().pools.is_disabled(&identity.database) {
                return Err(refusal::database_disabled(&identity.database));
            }
        }
        let place = self.place.as_mut().expect("a client keeps its place until it leaves");
        shared.admission().admit(settings, place, identity)
    }

    fn refuse(&mut self, error: &ErrorResponse, identity: &Identity) -> CloseReason {
        if self.worker.settings().log.pooler_errors {
            let Identity { database, user, .. } = identity;
            let peer = self.peer_address();
            tracing::warn!(%peer, %database, %user, %error, "client refused");
        }
        self.say(error);
        CloseReason::LoginRefused
    }

    /// Shows the client in: what the server would tell it, and a cancel key of Howdah's own.
    async fn welcome(
        &mut self,
        identity: Identity,
        settings: &Settings,
    ) -> Result<Rc<ClientCard>, CloseReason> {
        let client = PoolKey { database: Arc::clone(&identity.database), user: Arc::clone(&identity.user) };
        let shared = Arc::clone(&self.worker.shared);
        let Some(route) = shared.route(&client) else {
            return Err(self.refuse(&refusal::no_such_database(&client.database), &identity));
        };
        let now = self.worker.now();
        // What it begins with is known only when the pool's servers have been heard.
        let parameters = Parameters::default();
        let session = Session::new(shared.next_client(), route.rules.load_full(), parameters, now);
        let ends = self.ends.take().map(|ends| *ends).unwrap_or_default();
        let pid = self.conn.socket.peer_credentials().and_then(|credentials| credentials.pid);
        let key = shared
            .cancel_keys
            .issue(identity.minor, self.worker.id, session.id, |bytes| self.worker.random(bytes));
        let card = self.worker.register(Guest {
            session,
            caller: Caller {
                route,
                peer: ends.peer,
                local: ends.local,
                connected: SystemTime::now(),
                connected_at: now,
                remote_pid: pid,
                cancel_pid: key.pid,
            },
            hearing: None,
        });
        self.card = Some(Rc::clone(&card));
        card.adopt_task().await;

        let welcome = self.welcome_of(&card).await?;
        let beginning = self.beginning(&card, &identity, &welcome).await?;
        card.session.borrow_mut().begin(&beginning, &welcome.parameters);
        let mut message = self.conn.take_held_back();
        message.reserve(beginning.statuses.len() + ROOM_FOR_THE_REST);
        message.extend_from_slice(&beginning.statuses);
        for name in &*beginning.ignored {
            refusal::start_setting_without_effect(name).write_notice(&mut message);
        }
        backend::write_backend_key_data(&mut message, &key);
        if let Some(text) = &settings.auth.login_notify_message {
            ErrorResponse::new(Severity::Notice, SqlState::SUCCESSFUL_COMPLETION, text.as_str())
                .write_notice(&mut message);
        }
        backend::write_ready_for_query(&mut message, TransactionStatus::Idle);
        let outbox = &self.worker.outbox;
        self.conn.post(outbox, &message, &card).map_err(|_| CloseReason::ClientVanished)?;
        self.conn.flush().await.map_err(|_| CloseReason::ClientVanished)?;
        card.counters.borrow_mut().logins += 1;
        if settings.log.connections {
            let PoolKey { database, user } = &card.caller.route.client;
            tracing::info!(client = card.id, %database, %user, peer = %card.caller.peer, "client logged in");
        }
        Ok(card)
    }

    /// What the pool's servers say of themselves; the first client of a pool waits for the first server.
    async fn welcome_of(&mut self, card: &Rc<ClientCard>) -> Result<Arc<Welcome>, CloseReason> {
        let shared = Arc::clone(&self.worker.shared);
        let route: &Route = &card.caller.route;
        loop {
            if let Some(welcome) = shared.welcome(route.pool) {
                return Ok(welcome);
            }
            if let Some(lease) = self.checkout(card).await? {
                lease.give_back(Condition::Fit);
                card.link.set(None);
            }
        }
    }

    /// What the settings of its startup packet make of its session. Those that nobody has begun with before in
    /// this pool are tried on a server connection.
    async fn beginning(
        &mut self,
        card: &Rc<ClientCard>,
        identity: &Identity,
        welcome: &Welcome,
    ) -> Result<Arc<Beginning>, CloseReason> {
        let shared = Arc::clone(&self.worker.shared);
        let beginnings = Arc::clone(&card.caller.route.beginnings);
        let wish = &identity.parameters;
        if let Some(beginning) = beginnings.get(wish) {
            return Ok(beginning);
        }
        let mut trial = Trial::new(wish, &shared.tracked, &welcome.parameters);
        for _ in 0..MOST_ATTEMPTS {
            let tried = if trial.is_settled() {
                Some(trial.verdict(&shared.tracked))
            } else {
                // Boxed: it happens once for many clients, and every login would hold room for it.
                Box::pin(self.attempt(card, trial, welcome)).await?
            };
            trial = match tried {
                Some(Tried::Well(beginning)) => {
                    let (reported, usual) = (&welcome.reported, &welcome.parameters);
                    return Ok(beginnings.keep(wish, beginning.greeting(reported, usual, &shared.tracked)));
                }
                Some(Tried::Refused(error)) => return Err(self.refuse(&error, identity)),
                Some(Tried::Again(left)) => left,
                None => Trial::new(wish, &shared.tracked, &welcome.parameters),
            };
        }
        Err(self.refuse(&refusal::server_lost(CloseReason::ServerClosed, None), identity))
    }

    /// Tries settings on a server connection of the client's pool. `None`: the connection was lost.
    async fn attempt(
        &mut self,
        card: &Rc<ClientCard>,
        trial: Trial,
        welcome: &Welcome,
    ) -> Result<Option<Tried>, CloseReason> {
        let Some(mut lease) = self.checkout(card).await? else { return Ok(None) };
        let worker = Rc::clone(&self.worker);
        let conn = &mut lease.conn;
        conn.server.unfit |= card.caller.route.rules.load().closes_for_names() && trial.leaves_names();
        let mut message = Vec::new();
        {
            // What another client has left there would have a say in how values are read.
            let mut session = card.session.borrow_mut();
            session.begin(&Beginning::plain(Parameters::new(&worker.shared.tracked)), &welcome.parameters);
            session.join(&mut conn.server, worker.time(), &mut message);
        }
        conn.server.try_settings(trial, &mut message);
        let answered = settle(&worker, conn, &message).await;
        let tried = conn.server.tried().filter(|_| answered.is_ok());
        let fit =
            if conn.server.unfit { Condition::Close(CloseReason::ServerUnclean) } else { Condition::Fit };
        lease.give_back(answered.map_or_else(Condition::Close, |()| fit));
        card.link.set(None);
        Ok(tried)
    }
}

fn log_refusal(login: &Login, peer: &Peer, reason: CloseReason) {
    let peer = peer.address;
    let (database, user) = login.claim().map(|claim| (&*claim.database, &*claim.user)).unzip();
    let error = login.refusal().map(tracing::field::display);
    tracing::info!(%peer, database, user, error, %reason, "login refused");
}

/// Enough for all that most clients are told until they are in.
const ROOM_FOR_REPLIES: usize = 512;
/// Of a welcome beside the statuses: BackendKeyData and ReadyForQuery.
const ROOM_FOR_THE_REST: usize = 64;
/// How often a client's settings are tried where server connections are lost over it.
const MOST_ATTEMPTS: u32 = 5;
