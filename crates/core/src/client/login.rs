//! The machine at the door: from the first byte to an [`Identity`].
//!
//! States: `Opening` (requests for encryption, a cancel request or the startup packet) → `Proving` (one answer,
//! two with SCRAM) → `Over`. It owns no buffer: a packet is looked at when it is complete, and refused as soon as
//! its length is seen to be too large, so a client that has not logged in costs at most [`MAX_LOGIN_BYTES`].
//!
//! What follows a request for encryption in the same write is read on: as long as every such request is answered
//! `N`, nothing can have been slipped in before an encrypted stream began.
//!
//! Not here: sockets, `client_login_timeout`, and everything that needs a server connection. After
//! [`LoginNext::Welcome`] AuthenticationOk is written; ParameterStatus, BackendKeyData and ReadyForQuery are due.

use std::sync::Arc;

use howdah_wire::frame::FrameHeader;
use howdah_wire::startup::MAX_STARTUP_LEN;
use howdah_wire::{CancelKey, ErrorResponse, Startup, StartupPacket, backend, frontend};

use super::proof::{Failure, Proof};
use super::startup::Wish;
use super::{Credentials, Identity, LoginSeeds, Peer};
use crate::control::AdminRole;
use crate::facts::CloseReason;
use crate::refusal;
use crate::settings::{AuthMethod, Settings};

/// A client that wants to come in.
pub struct Login {
    settings: Arc<Settings>,
    credentials: Arc<Credentials>,
    peer: Peer,
    seeds: LoginSeeds,
    state: State,
    claim: Option<Claim>,
    refusal: Option<Box<ErrorResponse>>,
    /// The next answer that costs a hashing has to wait until it may.
    asks_to_hash: bool,
    may_hash: bool,
}

/// Who and where a client says it is and wants to be; any text at all.
#[derive(Clone, Debug)]
pub struct Claim {
    /// The database.
    pub database: Arc<str>,
    /// The user.
    pub user: Arc<str>,
}

/// What is to be done after the replies are sent.
#[derive(Debug)]
pub enum LoginNext {
    /// Wait for more bytes.
    More,
    /// What has come costs a hashing: show it again after [`Login::may_hash`]. Only who
    /// [asked](Login::ask_to_hash) for it is told.
    Hash,
    /// Let it in.
    Welcome(Box<Identity>),
    /// Cancel what the key stands for, and close without a word.
    Cancel(CancelKey),
    /// Close; what there is to say has been written.
    Close(CloseReason),
}

enum State {
    Opening { asked_tls: bool, asked_gss: bool },
    Proving { identity: Box<Identity>, proof: Proof },
    Over,
}

/// What one packet led to.
enum Step {
    Incomplete,
    Ate(usize),
    Ended(usize, LoginNext),
}

impl Login {
    /// A client that has not said anything yet.
    #[must_use]
    pub fn new(
        settings: Arc<Settings>,
        credentials: Arc<Credentials>,
        peer: Peer,
        seeds: LoginSeeds,
    ) -> Login {
        let state = State::Opening { asked_tls: false, asked_gss: false };
        Login {
            settings,
            credentials,
            peer,
            seeds,
            state,
            claim: None,
            refusal: None,
            asks_to_hash: false,
            may_hash: false,
        }
    }

    /// From now on nothing is hashed before it may be: it takes as long as dozens of queries.
    #[must_use]
    pub fn ask_to_hash(self) -> Login {
        Login { asks_to_hash: true, ..self }
    }

    /// The next answer still costs a hashing: nobody else of this name has come before.
    #[must_use]
    pub fn has_to_hash(&self) -> bool {
        matches!(&self.state, State::Proving { proof, .. } if proof.is_costly(&self.credentials))
    }

    /// The next answer may cost a hashing.
    pub fn may_hash(&mut self) {
        self.may_hash = true;
    }

    /// What its startup packet says, once there was one.
    #[must_use]
    pub fn claim(&self) -> Option<&Claim> {
        self.claim.as_ref()
    }

    /// What it was told when it was refused.
    #[must_use]
    pub fn refusal(&self) -> Option<&ErrorResponse> {
        self.refusal.as_deref()
    }

    /// Eats complete packets from `input` and appends replies to `out`; says how many bytes were eaten.
    /// Bytes not eaten are to be shown again, with more behind them. When it is over nothing is eaten any more.
    pub fn on_bytes(&mut self, input: &[u8], out: &mut Vec<u8>) -> (usize, LoginNext) {
        let mut eaten = 0;
        loop {
            let rest = input.get(eaten..).unwrap_or_default();
            let step = match std::mem::replace(&mut self.state, State::Over) {
                State::Opening { asked_tls, asked_gss } => self.open(rest, asked_tls, asked_gss, out),
                State::Proving { identity, proof } => self.prove(rest, identity, proof, out),
                State::Over => Ok(Step::Incomplete),
            };
            match step {
                Ok(Step::Incomplete) => return (eaten, LoginNext::More),
                Ok(Step::Ate(n)) => eaten += n,
                Ok(Step::Ended(n, next)) => return (eaten + n, next),
                Err(failure) => {
                    let (error, reason) = match failure {
                        Failure::Refused(error) => (error, CloseReason::LoginRefused),
                        Failure::Protocol(error) => (error, CloseReason::ClientProtocol),
                    };
                    error.write(out);
                    self.refusal = Some(Box::new(error));
                    return (eaten, LoginNext::Close(reason));
                }
            }
        }
    }

    fn open(
        &mut self,
        input: &[u8],
        asked_tls: bool,
        asked_gss: bool,
        out: &mut Vec<u8>,
    ) -> Result<Step, Failure> {
        let parsed = StartupPacket::parse(input, MAX_STARTUP_LEN)
            .map_err(|error| Failure::Protocol(refusal::startup_packet(&error)))?;
        let Some((packet, n)) = parsed else {
            self.state = State::Opening { asked_tls, asked_gss };
            return Ok(Step::Incomplete);
        };
        match packet {
            StartupPacket::SslRequest if !asked_tls => {
                out.push(NO_ENCRYPTION);
                self.state = State::Opening { asked_tls: true, asked_gss };
                Ok(Step::Ate(n))
            }
            StartupPacket::GssEncRequest if !asked_gss => {
                out.push(NO_ENCRYPTION);
                self.state = State::Opening { asked_tls, asked_gss: true };
                Ok(Step::Ate(n))
            }
            StartupPacket::SslRequest | StartupPacket::GssEncRequest => {
                Err(Failure::Protocol(refusal::repeated_encryption_request()))
            }
            StartupPacket::CancelRequest(key) => Ok(Step::Ended(n, LoginNext::Cancel(key))),
            StartupPacket::Startup(startup) => self.start(startup, n, out).map_err(Failure::Refused),
        }
    }

    fn start(&mut self, startup: Startup<'_>, n: usize, out: &mut Vec<u8>) -> Result<Step, ErrorResponse> {
        let wish = Wish::read(startup, &self.settings.auth, &self.peer)?;
        if let Some(unknown) = &wish.negotiate {
            backend::write_negotiate_protocol_version(out, wish.version, unknown.iter().copied());
        }
        let mut identity = Box::new(Identity {
            database: wish.database.into(),
            user: wish.user.into(),
            minor: wish.version.minor,
            parameters: wish.parameters,
            admin: None,
        });
        self.claim =
            Some(Claim { database: Arc::clone(&identity.database), user: Arc::clone(&identity.user) });
        if self.is_console(&identity.database) && self.is_owner(&identity.user) {
            identity.admin = Some(AdminRole::Admin);
            return Ok(welcome(n, identity, out));
        }
        match Proof::begin(&identity.user, &self.settings, &self.seeds, out)? {
            Some(proof) => {
                self.state = State::Proving { identity, proof };
                Ok(Step::Ate(n))
            }
            None => self.admit(n, identity, out),
        }
    }

    fn prove(
        &mut self,
        input: &[u8],
        identity: Box<Identity>,
        proof: Proof,
        out: &mut Vec<u8>,
    ) -> Result<Step, Failure> {
        let length = |len| Failure::Protocol(refusal::answer_length(len));
        let header = FrameHeader::parse(input).map_err(|error| length(error.len))?;
        let message = header.filter(|header| header.tag == frontend::tag::PASSWORD);
        match (header, message) {
            (Some(header), _) if header.tag == frontend::tag::TERMINATE => {
                return Ok(Step::Ended(0, LoginNext::Close(CloseReason::ClientTerminated)));
            }
            (Some(header), None) => return Err(Failure::Protocol(refusal::not_an_answer(header.tag))),
            (Some(header), Some(_)) if header.total() > MAX_ANSWER_LEN => return Err(length(header.len)),
            _ => {}
        }
        let body = message.and_then(|header| input.get(FrameHeader::SIZE..header.total()));
        let Some(body) = body else {
            self.state = State::Proving { identity, proof };
            return Ok(Step::Incomplete);
        };
        if self.asks_to_hash && !self.may_hash && proof.is_costly(&self.credentials) {
            self.state = State::Proving { identity, proof };
            return Ok(Step::Ended(0, LoginNext::Hash));
        }
        self.may_hash = false;
        let n = FrameHeader::SIZE + body.len();
        match proof.answer(body, &self.credentials, out)? {
            Some(proof) => {
                self.state = State::Proving { identity, proof };
                Ok(Step::Ate(n))
            }
            None => self.admit(n, identity, out).map_err(Failure::Refused),
        }
    }

    /// Is what it came for there, and for this client? Only asked once it has proved who it is, so that no
    /// stranger learns the names of databases and administrators.
    fn admit(&self, n: usize, mut identity: Box<Identity>, out: &mut Vec<u8>) -> Result<Step, ErrorResponse> {
        if self.is_console(&identity.database) {
            identity.admin = Some(self.role(&identity.user).ok_or_else(refusal::console_not_allowed)?);
            return Ok(welcome(n, identity, out));
        }
        let entry = self.settings.database(&identity.database);
        let entry = entry.ok_or_else(|| refusal::no_such_database(&identity.database))?;
        if self.settings.auth.method == AuthMethod::Any && entry.forced_user.is_none() {
            return Err(refusal::no_forced_user());
        }
        Ok(welcome(n, identity, out))
    }

    fn is_console(&self, database: &str) -> bool {
        // PgBouncer reserves its own name; ours gives way to a database that is really called so.
        database == "pgbouncer" || (database == "howdah" && !self.settings.databases.contains_key(database))
    }

    fn is_owner(&self, user: &str) -> bool {
        self.peer.unix && self.peer.same_user && matches!(user, "pgbouncer" | "howdah")
    }

    fn role(&self, user: &str) -> Option<AdminRole> {
        let listed = |list: &[String]| list.iter().any(|name| name == user);
        let auth = &self.settings.auth;
        if listed(&auth.admin_users) {
            Some(AdminRole::Admin)
        } else {
            listed(&auth.stats_users).then_some(AdminRole::Stats)
        }
    }
}

fn welcome(n: usize, identity: Box<Identity>, out: &mut Vec<u8>) -> Step {
    backend::write_authentication_ok(out);
    Step::Ended(n, LoginNext::Welcome(identity))
}

/// The answer to a request for encryption.
const NO_ENCRYPTION: u8 = b'N';

/// The longest answer to a challenge, header included. PostgreSQL's own are below 200 bytes; tokens of cloud
/// providers, sent as passwords, reach some 2,000.
const MAX_ANSWER_LEN: usize = 3_000;

/// The most a client can send before it is logged in or refused.
pub const MAX_LOGIN_BYTES: usize = 16 * 1024;

// Two requests for encryption, a startup packet, two answers.
const _: () = assert!(2 * 8 + MAX_STARTUP_LEN + 2 * MAX_ANSWER_LEN <= MAX_LOGIN_BYTES);
