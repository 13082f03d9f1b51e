//! Opening a server connection: connect, log in, run `connect_query`.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use howdah_core::facts::CloseReason;
use howdah_core::pool::{Guise, PoolId, PoolKey, ServerId};
use howdah_core::server::{
    LoginNonsense, OpenError, Server, ServerLogin, ServerLoginNext, ServerLoginPlan, ServerSecret,
    ServerWelcome,
};
use howdah_core::session::{Parameters, Rights, Verdict};
use howdah_core::settings::{Database, Settings};

use crate::client_task::check;
use crate::conn::Conn;
use crate::lore;
use crate::net::Endpoint;
use crate::server_conn::{ServerCard, ServerConn};
use crate::shared::Welcome;
use crate::worker::Worker;

/// Opens a server connection as the pools have ordered, and tells them how it went.
pub(crate) async fn open(worker: Rc<Worker>, id: ServerId, pool: PoolId) {
    let opening = Opening { worker: &worker, id, pool, reported: false };
    let limit = worker.settings().timeouts.server_connect;
    let attempt = async {
        match attempt(&worker, id, pool).await {
            // It came while the server was asking for it: who has just brought it must not be told that it is missing.
            Err(OpenError::NotYetKnown { .. }) if knows_secret(&worker, pool) => {
                attempt(&worker, id, pool).await
            }
            outcome => outcome,
        }
    };
    let outcome = match limit {
        Some(limit) => tokio::time::timeout(limit, attempt).await.unwrap_or(Err(OpenError::Timeout)),
        None => attempt.await,
    };
    opening.report(outcome);
}

/// An opening that the pools count on; one that ends without a word, as in a panic, has failed.
struct Opening<'a> {
    worker: &'a Rc<Worker>,
    id: ServerId,
    pool: PoolId,
    reported: bool,
}

impl Opening<'_> {
    fn report(mut self, outcome: Result<Box<ServerConn>, OpenError>) {
        self.reported = true;
        let worker = self.worker;
        let now = worker.now();
        if outcome.is_err() {
            worker.closes.borrow_mut().server(CloseReason::ServerLoginFailed);
        }
        worker.run(match outcome {
            Ok(conn) => {
                tracing::debug!(server = self.id.0, pid = conn.card.backend_pid, "server connection opened");
                worker.shared.pools.opened(conn, now)
            }
            Err(error) => {
                let pool = worker.shared.server_key(self.pool).map(tracing::field::display);
                tracing::warn!(server = self.id.0, pool, %error, "cannot open a server connection");
                worker.shared.pools.open_failed(self.id, Arc::new(error), now)
            }
        });
    }
}

impl Drop for Opening<'_> {
    fn drop(&mut self) {
        if !self.reported {
            self.worker.closes.borrow_mut().server(CloseReason::ServerLoginFailed);
            let failed =
                self.worker.shared.pools.open_failed(self.id, Arc::new(OpenError::Closed), self.worker.now());
            self.worker.run(failed);
        }
    }
}

async fn attempt(worker: &Rc<Worker>, id: ServerId, pool: PoolId) -> Result<Box<ServerConn>, OpenError> {
    let shared = &worker.shared;
    let gone = || OpenError::Connect { reason: "its database has left the configuration".to_owned() };
    let key = shared.server_key(pool).ok_or_else(gone)?;
    let settings = shared.settings.load_full();
    let entry = settings.database(&key.database).ok_or_else(gone)?;
    let (endpoint, socket) = connect(worker, &settings, entry).await?;
    let ends = socket.ends(entry.port.unwrap_or(POSTGRESQL_PORT));
    let mut conn = Conn::new(socket);
    let mut welcome = log_in(worker, &mut conn, plan(worker, &settings, entry, &key)).await?;
    if let Some(keys) = welcome.derived.take() {
        shared.credentials.remember(&key.user, keys);
    }
    let mut server = Server::new(Arc::clone(&shared.tracked), welcome.cancel_key.clone());
    let mut parameters = Parameters::new(&shared.tracked);
    for (name, value) in &welcome.parameters {
        if let Some(index) = shared.tracked.index(name) {
            parameters.set(index, value);
        }
    }
    server.parameters = parameters.clone();
    server.login_parameters = parameters.clone();
    let login = welcome.parameters.iter().find(|(name, _)| name == "session_authorization");
    server.login = login.map(|(_, name)| name.as_str().into());
    server.rights = Rights::told(&welcome.parameters);
    let backend_pid = welcome.cancel_key.as_ref().map_or(0, |key| key.pid);
    let card = Arc::new(ServerCard::new(endpoint, ends, backend_pid, worker.now()));
    let mut conn = Box::new(ServerConn { id, conn, server, card, guise: Guise::PLAIN, worker: worker.id });
    let unasked = conn.conn.held.first().copied();
    if let (Some(tag), Some(_)) = (unasked, conn.swallow()) {
        return Err(match conn.server.last_error.take() {
            Some(error) => OpenError::Refused(Box::new(error)),
            None => OpenError::Protocol(LoginNonsense::OutOfPlace { tag }),
        });
    }
    if let Some(query) = entry.connect_query.as_deref().filter(|query| !query.is_empty()) {
        check(worker, &mut conn, query).await.map_err(|reason| match conn.server.last_error.take() {
            Some(error) => OpenError::Refused(Box::new(error)),
            None => OpenError::Connect { reason: format!("connect_query failed: {reason}") },
        })?;
    }
    let broken = |reason| OpenError::Connect { reason: format!("asking what functions do: {reason}") };
    lore::greet(worker, &mut conn, pool).await.map_err(broken)?;
    if shared.welcome(pool).is_none() {
        shared.set_welcome(pool, Welcome { reported: welcome.parameters, parameters });
    }
    Ok(conn)
}

/// Tries the hosts one after the other, beginning with another one each time.
async fn connect(
    worker: &Worker,
    settings: &Settings,
    entry: &Database,
) -> Result<(Endpoint, crate::net::Socket), OpenError> {
    static TURN: AtomicUsize = AtomicUsize::new(0);
    let port = entry.port.unwrap_or(POSTGRESQL_PORT);
    let default_directory = settings.listen.unix_socket_dir.clone().unwrap_or_else(|| "/tmp".to_owned());
    let hosts: Vec<&str> = match entry.hosts.is_empty() {
        true => vec![&default_directory],
        false => entry.hosts.iter().map(String::as_str).collect(),
    };
    let first = if entry.fixed_host_order { 0 } else { TURN.fetch_add(1, Ordering::Relaxed) % hosts.len() };
    let mut reasons = Vec::new();
    for host in hosts.iter().cycle().skip(first).take(hosts.len()) {
        let endpoint = Endpoint::new(host, port);
        match worker.shared.net.connect(&endpoint).await {
            Ok(socket) => return Ok((endpoint, socket)),
            Err(error) => reasons.push(format!("{host}:{port}: {error}")),
        }
    }
    Err(OpenError::Connect { reason: reasons.join("; ") })
}

/// There is something now to log in with as the pool's user.
fn knows_secret(worker: &Worker, pool: PoolId) -> bool {
    let shared = &worker.shared;
    let Some(key) = shared.server_key(pool) else { return false };
    let settings = shared.settings.load();
    settings.database(&key.database).is_some_and(|entry| {
        !matches!(shared.credentials.server_secret(&settings, entry, &key.user), ServerSecret::NotYetKnown)
    })
}

fn plan(worker: &Worker, settings: &Settings, entry: &Database, key: &PoolKey) -> ServerLoginPlan {
    let mut nonce = [0; 18];
    worker.random(&mut nonce);
    ServerLoginPlan {
        user: key.user.to_string(),
        database: entry.dbname.clone().unwrap_or_else(|| key.database.to_string()),
        parameters: entry.startup_parameters.clone().into_iter().collect(),
        secret: worker.shared.credentials.server_secret(settings, entry, &key.user),
        nonce,
    }
}

async fn log_in(
    worker: &Worker,
    conn: &mut Conn,
    plan: ServerLoginPlan,
) -> Result<Box<ServerWelcome>, OpenError> {
    let broken = |error: std::io::Error| OpenError::Connect { reason: error.to_string() };
    let mut out = Vec::new();
    // The first connection of a user has to hash its password, if the server wants SCRAM.
    let costly = matches!(&plan.secret, ServerSecret::Plain { derived, .. } if derived.is_empty());
    let mut login = ServerLogin::new(plan, &mut out);
    loop {
        conn.send(&worker.outbox, &out).map_err(broken)?;
        conn.flush().await.map_err(broken)?;
        out.clear();
        let read = std::future::poll_fn(|cx| {
            conn.poll_fill(cx, &mut worker.scratch.borrow_mut().buffer, Verdict::MAX_HELD)
        })
        .await;
        if read.map_err(broken)? == 0 {
            return Err(OpenError::Closed);
        }
        if costly {
            worker.turn_to_hash(|| true).await;
        }
        let (eaten, next) = login.on_bytes(&conn.held, &mut out);
        conn.consume(eaten);
        match next {
            ServerLoginNext::More => {}
            ServerLoginNext::Ready(welcome) => return Ok(welcome),
            ServerLoginNext::Failed(error) => return Err(error),
        }
    }
}

const POSTGRESQL_PORT: u16 = 5432;
