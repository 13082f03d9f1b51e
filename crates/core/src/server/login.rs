//! Logging in to PostgreSQL.
//!
//! States: `Asked` (startup packet sent) → the proof the server asks for → `Proved` → `Greeted` (AuthenticationOk
//! has come) → ready. A server that skips its own half of a SCRAM exchange is refused.
//!
//! Protocol 3.0 is asked for: 3.2 adds nothing but longer cancel keys, and servers before 9.3 would have to be
//! asked a second time. Not here: sockets, TLS, timeouts, `connect_query`.

use std::fmt;
use std::sync::Arc;

use howdah_wire::backend::{
    self, Authentication, NegotiateProtocolVersion, ParameterStatus, ReadyForQuery, Strings,
    TransactionStatus,
};
use howdah_wire::frame::FrameHeader;
use howdah_wire::sasl::{
    ClientAwaitsFinal, ClientAwaitsFirst, ClientCredential, ClientKey, DerivedKeys, MECHANISM, Nonce,
    ScramClient, ServerKey,
};
use howdah_wire::startup::write_startup;
use howdah_wire::{BodyError, CancelKey, ErrorResponse, ProtocolVersion, SqlState, frontend, md5};
use zeroize::Zeroizing;

use super::{LoginNonsense, OpenError};

/// A server connection that is being opened.
pub struct ServerLogin {
    user: String,
    secret: ServerSecret,
    nonce: [u8; 18],
    state: State,
    welcome: ServerWelcome,
    /// Bytes of `welcome.parameters`.
    reported: usize,
}

/// Who logs in, where and how.
#[derive(Debug)]
pub struct ServerLoginPlan {
    /// User on the server.
    pub user: String,
    /// Database on the server.
    pub database: String,
    /// Settings for the startup packet.
    pub parameters: Vec<(String, String)>,
    /// What proves who we are.
    pub secret: ServerSecret,
    /// Fresh random bytes for a SCRAM exchange.
    pub nonce: [u8; 18],
}

/// What Howdah can prove itself with to a server.
#[derive(Clone)]
pub enum ServerSecret {
    /// Nothing; enough for servers that trust us.
    None,
    /// The password.
    Plain {
        /// In clear.
        password: Zeroizing<String>,
        /// What earlier logins hashed of it.
        derived: Vec<Arc<DerivedKeys>>,
    },
    /// `md5` and 32 digits, as stored.
    Md5(Zeroizing<String>),
    /// The keys behind a SCRAM secret.
    Scram {
        /// Proves us to the server.
        client_key: ClientKey,
        /// Proves the server to us.
        server_key: ServerKey,
    },
    /// A SCRAM secret is configured, but nobody has proved its password yet.
    NotYetKnown,
}

/// What the login brought.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerWelcome {
    /// The settings the server reported, last values.
    pub parameters: Vec<(String, String)>,
    /// For cancel requests; a server may have none.
    pub cancel_key: Option<CancelKey>,
    /// What had to be hashed for the server's salt; worth remembering.
    pub derived: Option<Arc<DerivedKeys>>,
}

/// What is to be done after the replies are sent.
#[derive(Debug)]
pub enum ServerLoginNext {
    /// Wait for more bytes.
    More,
    /// The connection can be used.
    Ready(Box<ServerWelcome>),
    /// Close it.
    Failed(OpenError),
}

enum State {
    Asked,
    SaslFirst(Box<ClientAwaitsFirst>),
    SaslFinal(ClientAwaitsFinal),
    Proved,
    Greeted,
    Over,
}

impl ServerLogin {
    /// Writes the startup packet.
    #[must_use]
    pub fn new(plan: ServerLoginPlan, out: &mut Vec<u8>) -> ServerLogin {
        let ServerLoginPlan { user, database, parameters, secret, nonce } = plan;
        let who = [("user", user.as_str()), ("database", database.as_str())];
        let settings = parameters.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        write_startup(out, ProtocolVersion::V3_0, who.into_iter().chain(settings));
        ServerLogin {
            user,
            secret,
            nonce,
            state: State::Asked,
            welcome: ServerWelcome::default(),
            reported: 0,
        }
    }

    /// Eats complete messages from `input` and appends replies to `out`; says how many bytes were eaten. Nothing
    /// behind ReadyForQuery is eaten.
    pub fn on_bytes(&mut self, input: &[u8], out: &mut Vec<u8>) -> (usize, ServerLoginNext) {
        let mut eaten = 0;
        loop {
            let rest = input.get(eaten..).unwrap_or_default();
            match self.step(rest, out) {
                Ok(None) => return (eaten, ServerLoginNext::More),
                Ok(Some((n, None))) => eaten += n,
                Ok(Some((n, Some(welcome)))) => return (eaten + n, ServerLoginNext::Ready(welcome)),
                Err(error) => {
                    self.state = State::Over;
                    return (eaten, ServerLoginNext::Failed(error));
                }
            }
        }
    }

    /// One message: its length, and the welcome if it was the last; `None` while it is incomplete.
    fn step(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<Option<Step>, OpenError> {
        let Some(header) = FrameHeader::parse(input).map_err(LoginNonsense::from)? else { return Ok(None) };
        if header.total() > MAX_MESSAGE {
            return Err(LoginNonsense::TooLong { tag: header.tag, len: header.len }.into());
        }
        let Some(body) = input.get(FrameHeader::SIZE..header.total()) else { return Ok(None) };
        let ready = self.on_message(header.tag, body, out)?;
        Ok(Some((header.total(), ready.then(|| Box::new(std::mem::take(&mut self.welcome))))))
    }

    /// Whether the connection is ready.
    fn on_message(&mut self, tag: u8, body: &[u8], out: &mut Vec<u8>) -> Result<bool, OpenError> {
        use backend::tag as t;
        let malformed = |error: BodyError| LoginNonsense::Malformed { tag, error };
        match (tag, &self.state) {
            (t::ERROR_RESPONSE, _) => return Err(self.refused(ErrorResponse::parse(body))),
            (t::NOTICE_RESPONSE, _) => {}
            (t::AUTHENTICATION, _) => {
                self.on_authentication(Authentication::parse(body).map_err(malformed)?, out)?;
            }
            (t::NEGOTIATE_PROTOCOL_VERSION, State::Asked) => {
                // 3.0 without options leaves nothing to negotiate, but a newer server may still say so.
                let negotiated = NegotiateProtocolVersion::parse(body).map_err(malformed)?;
                if negotiated.newest < ProtocolVersion::V3_0 {
                    return Err(LoginNonsense::OutOfPlace { tag }.into());
                }
            }
            (t::PARAMETER_STATUS, State::Greeted) => {
                self.report(ParameterStatus::parse(body).map_err(malformed)?)?;
            }
            (t::BACKEND_KEY_DATA, State::Greeted) => {
                self.welcome.cancel_key = Some(CancelKey::parse(body).map_err(malformed)?);
            }
            (t::READY_FOR_QUERY, State::Greeted) => {
                if ReadyForQuery::parse(body).map_err(malformed)?.status != TransactionStatus::Idle {
                    return Err(LoginNonsense::InTransaction.into());
                }
                self.state = State::Over;
                return Ok(true);
            }
            _ => return Err(LoginNonsense::OutOfPlace { tag }.into()),
        }
        Ok(false)
    }

    fn on_authentication(&mut self, step: Authentication<'_>, out: &mut Vec<u8>) -> Result<(), OpenError> {
        self.state = match (std::mem::replace(&mut self.state, State::Over), step) {
            (State::Asked | State::Proved, Authentication::Ok) => State::Greeted,
            (State::Asked, Authentication::Cleartext) => {
                let ServerSecret::Plain { password, .. } = &self.secret else {
                    return Err(self.no_secret("the password in clear text"));
                };
                frontend::write_password(out, password.as_bytes());
                State::Proved
            }
            (State::Asked, Authentication::Md5 { salt }) => {
                let stored = match &self.secret {
                    ServerSecret::Plain { password, .. } => md5::stored(password.as_bytes(), &self.user),
                    ServerSecret::Md5(stored) => stored.clone(),
                    _ => return Err(self.no_secret("an MD5 password")),
                };
                frontend::write_password(out, md5::response(&stored, salt).as_bytes());
                State::Proved
            }
            (State::Asked, Authentication::Sasl { mechanisms }) => self.begin_sasl(mechanisms, out)?,
            (State::SaslFirst(scram), Authentication::SaslContinue(first)) => {
                let (scram, last) = scram.answer(first)?;
                frontend::write_sasl_response(out, &last);
                State::SaslFinal(scram)
            }
            (State::SaslFinal(scram), Authentication::SaslFinal(last)) => {
                self.welcome.derived = scram.verify(last)?;
                State::Proved
            }
            (State::Asked, Authentication::Other(method)) => return Err(LoginNonsense::Method(method).into()),
            _ => return Err(LoginNonsense::OutOfPlace { tag: backend::tag::AUTHENTICATION }.into()),
        };
        Ok(())
    }

    fn begin_sasl(&self, mut mechanisms: Strings<'_>, out: &mut Vec<u8>) -> Result<State, OpenError> {
        if !mechanisms.any(|name| name == MECHANISM.as_bytes()) {
            return Err(LoginNonsense::Mechanisms.into());
        }
        let credential = match &self.secret {
            ServerSecret::Plain { password, derived } => {
                ClientCredential::Password { password: password.clone(), derived: derived.clone() }
            }
            ServerSecret::Scram { client_key, server_key } => {
                ClientCredential::Keys { client_key: client_key.clone(), server_key: server_key.clone() }
            }
            _ => return Err(self.no_secret("a SCRAM proof")),
        };
        let (scram, first) = ScramClient::start(credential, Nonce::from_random(self.nonce));
        frontend::write_sasl_initial_response(out, MECHANISM.as_bytes(), Some(&first));
        Ok(State::SaslFirst(Box::new(scram)))
    }

    fn report(&mut self, status: ParameterStatus<'_>) -> Result<(), LoginNonsense> {
        let (Ok(name), Ok(value)) = (str::from_utf8(status.name), str::from_utf8(status.value)) else {
            return Err(LoginNonsense::NotUtf8);
        };
        self.reported += name.len() + value.len();
        let parameters = &mut self.welcome.parameters;
        if self.reported > MAX_MESSAGE || parameters.len() >= MAX_PARAMETERS {
            return Err(LoginNonsense::TooManyParameters);
        }
        match parameters.iter_mut().find(|(known, _)| known == name) {
            Some((_, known)) => value.clone_into(known),
            None => parameters.push((name.to_owned(), value.to_owned())),
        }
        Ok(())
    }

    fn refused(&self, said: ErrorResponse) -> OpenError {
        let said = Box::new(said);
        let keys = matches!(self.secret, ServerSecret::Scram { .. });
        if keys && said.code == SqlState::INVALID_PASSWORD {
            OpenError::WrongSecret { user: self.user.clone(), said }
        } else {
            OpenError::Refused(said)
        }
    }

    fn no_secret(&self, asked: &'static str) -> OpenError {
        let user = self.user.clone();
        match self.secret {
            ServerSecret::NotYetKnown => OpenError::NotYetKnown { user },
            _ => OpenError::NoSecret { user, asked },
        }
    }
}

impl fmt::Debug for ServerSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ServerSecret::None => "ServerSecret::None",
            ServerSecret::Plain { .. } => "ServerSecret::Plain(…)",
            ServerSecret::Md5(_) => "ServerSecret::Md5(…)",
            ServerSecret::Scram { .. } => "ServerSecret::Scram(…)",
            ServerSecret::NotYetKnown => "ServerSecret::NotYetKnown",
        })
    }
}

/// Length of a message, and the welcome if it was the last.
type Step = (usize, Option<Box<ServerWelcome>>);

/// Longest message during login, and most bytes of settings kept. PostgreSQL reports some 500 bytes.
const MAX_MESSAGE: usize = 64 * 1024;
/// Most settings kept. PostgreSQL reports some 15.
const MAX_PARAMETERS: usize = 200;
