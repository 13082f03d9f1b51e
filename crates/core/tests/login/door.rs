//! A door to knock at, and its answers as text.

use std::sync::Arc;

use howdah_core::client::{Credentials, Identity, Login, LoginNext, LoginSeeds, Peer};
use howdah_core::facts::{Address, CloseReason};
use howdah_core::server::{
    OpenError, ServerLogin, ServerLoginNext, ServerLoginPlan, ServerSecret, ServerWelcome,
};
use howdah_core::settings::{AuthMethod, Database, Settings};
use howdah_wire::backend::{self, Authentication, NegotiateProtocolVersion, TransactionStatus, tag};
use howdah_wire::secret::Secret;
use howdah_wire::startup::write_startup;
use howdah_wire::{ErrorResponse, FrameHeader, ProtocolVersion};
use zeroize::Zeroizing;

/// Settings, what is known of passwords, and where the client comes from.
pub(crate) struct Door {
    pub(crate) settings: Arc<Settings>,
    pub(crate) credentials: Arc<Credentials>,
    pub(crate) peer: Peer,
}

/// RFC 7677's: the password is `pencil`.
pub(crate) const SCRAM: &str = "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==\
     $WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";

impl Door {
    /// A database `shop`, and users whose names tell what is known of their password, which is `pencil`.
    pub(crate) fn new(method: AuthMethod) -> Door {
        let md5 = howdah_wire::md5::stored(b"pencil", "md5");
        let mut settings = Settings::default();
        settings.auth.method = method;
        settings.auth.scram_iterations = 10;
        settings.databases.insert("shop".to_owned(), Database::default());
        for (user, text) in [("plain", "pencil"), ("md5", &**md5), ("scram", SCRAM), ("empty", "")] {
            settings.secrets.insert(user.to_owned(), Secret::parse(text));
        }
        let address = Address::Tcp(([10, 0, 0, 7], 5555).into());
        Door {
            settings: Arc::new(settings),
            credentials: Arc::new(Credentials::new([9; 32])),
            peer: Peer { address, unix: false, pid: None, same_user: false },
        }
    }

    pub(crate) fn with(mut self, change: impl FnOnce(&mut Settings)) -> Door {
        change(Arc::get_mut(&mut self.settings).unwrap());
        self
    }

    pub(crate) fn over_unix_socket(mut self, same_user: bool) -> Door {
        self.peer = Peer { unix: true, same_user, ..self.peer };
        self
    }

    pub(crate) fn login(&self) -> Login {
        let seeds = LoginSeeds { md5_salt: [1, 2, 3, 4], scram_nonce: [5; 18] };
        Login::new(Arc::clone(&self.settings), Arc::clone(&self.credentials), self.peer.clone(), seeds)
    }

    /// Shows bytes to the door in pieces that end at `cuts`; what is not eaten is shown again.
    pub(crate) fn hear(&self, bytes: &[u8], cuts: impl IntoIterator<Item = usize>) -> Heard {
        let mut login = self.login();
        let mut heard = Heard { out: Vec::new(), eaten: 0, next: LoginNext::More };
        for end in cuts.into_iter().chain([bytes.len()]) {
            if !matches!(heard.next, LoginNext::More) {
                break;
            }
            let (n, next) =
                login.on_bytes(&bytes[heard.eaten..end.clamp(heard.eaten, bytes.len())], &mut heard.out);
            heard.eaten += n;
            heard.next = next;
        }
        heard
    }

    /// The door's answers to these bytes as text, and how it ends.
    pub(crate) fn transcript(&self, bytes: &[u8]) -> String {
        let heard = self.hear(bytes, []);
        let mut lines = replies(&heard.out);
        lines.push(ending(&heard.next));
        lines.join("\n")
    }

    /// Lets a real client try to log in.
    pub(crate) fn knock(&self, user: &str, database: &str, secret: ServerSecret) -> Visit {
        let plan = ServerLoginPlan {
            user: user.to_owned(),
            database: database.to_owned(),
            parameters: Vec::new(),
            secret,
            nonce: [7; 18],
        };
        let mut visit = Visit { sent: Vec::new(), end: LoginNext::More, client: None };
        let mut client = ServerLogin::new(plan, &mut visit.sent);
        let (mut login, mut eaten, mut to_client) = (self.login(), 0, Vec::new());
        loop {
            let (n, next) = login.on_bytes(&visit.sent[eaten..], &mut to_client);
            eaten += n;
            if matches!(next, LoginNext::Welcome(_)) {
                backend::write_ready_for_query(&mut to_client, TransactionStatus::Idle);
            }
            let sent_before = visit.sent.len();
            let (n, reaction) = client.on_bytes(&to_client, &mut visit.sent);
            to_client.drain(..n);
            visit.client = match reaction {
                ServerLoginNext::More => None,
                ServerLoginNext::Ready(welcome) => Some(Ok(welcome)),
                ServerLoginNext::Failed(error) => Some(Err(error)),
            };
            let over = !matches!(next, LoginNext::More);
            visit.end = next;
            if over || visit.client.is_some() || visit.sent.len() == sent_before {
                return visit;
            }
        }
    }
}

/// What became of bytes.
pub(crate) struct Heard {
    pub(crate) out: Vec<u8>,
    pub(crate) eaten: usize,
    pub(crate) next: LoginNext,
}

/// What became of a client.
pub(crate) struct Visit {
    /// All the client sent.
    pub(crate) sent: Vec<u8>,
    /// How it ended for the door…
    pub(crate) end: LoginNext,
    /// …and for the client.
    pub(crate) client: Option<Result<Box<ServerWelcome>, OpenError>>,
}

impl Visit {
    /// The client's fate in a word: `welcome`, or the error it was told.
    pub(crate) fn fate(&self) -> String {
        match (&self.end, &self.client) {
            (LoginNext::Welcome(_), Some(Ok(_))) => "welcome".to_owned(),
            (LoginNext::Close(_), Some(Err(error))) => error.to_client().message,
            (LoginNext::More, Some(Err(error))) => format!("gave up: {error}"),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn identity(self) -> Identity {
        match self.end {
            LoginNext::Welcome(identity) => *identity,
            other => panic!("{other:?}"),
        }
    }
}

pub(crate) fn pencil() -> ServerSecret {
    password("pencil")
}

pub(crate) fn password(text: &str) -> ServerSecret {
    ServerSecret::Plain { password: Zeroizing::new(text.to_owned()), derived: Vec::new() }
}

/// A startup packet.
pub(crate) fn startup(minor: u16, parameters: &[(&str, &str)]) -> Vec<u8> {
    let mut out = Vec::new();
    write_startup(&mut out, ProtocolVersion { major: 3, minor }, parameters.iter().copied());
    out
}

pub(crate) fn ending(next: &LoginNext) -> String {
    match next {
        LoginNext::Hash => "→ has to hash".to_owned(),
        LoginNext::More => "… more".to_owned(),
        LoginNext::Welcome(who) => {
            let role = who.admin.map(|role| format!(" {role:?}")).unwrap_or_default();
            format!("→ {}@{} 3.{}{role} {:?}", who.user, who.database, who.minor, who.parameters)
        }
        LoginNext::Cancel(key) => format!("→ cancel {}", key.pid),
        LoginNext::Close(CloseReason::ClientProtocol) => "→ closed: protocol".to_owned(),
        LoginNext::Close(reason) => format!("→ closed: {reason}"),
    }
}

/// The door's replies, one line each.
fn replies(mut out: &[u8]) -> Vec<String> {
    let mut lines = Vec::new();
    while let Some((&first, rest)) = out.split_first() {
        if first == b'N' {
            lines.push("N".to_owned());
            out = rest;
            continue;
        }
        let header = FrameHeader::parse(out).unwrap().unwrap();
        let (message, rest) = out.split_at(header.total());
        lines.push(reply(header.tag, &message[FrameHeader::SIZE..]));
        out = rest;
    }
    lines
}

fn reply(kind: u8, body: &[u8]) -> String {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    match kind {
        tag::ERROR_RESPONSE => {
            let error = ErrorResponse::parse(body);
            format!("{} {} {}", error.severity, error.code, error.message)
        }
        tag::NEGOTIATE_PROTOCOL_VERSION => {
            let negotiate = NegotiateProtocolVersion::parse(body).unwrap();
            let options: Vec<String> = negotiate.unrecognized.map(text).collect();
            format!("NegotiateProtocolVersion {} {options:?}", negotiate.newest)
        }
        tag::AUTHENTICATION => match Authentication::parse(body).unwrap() {
            Authentication::Ok => "AuthenticationOk".to_owned(),
            Authentication::Cleartext => "Cleartext?".to_owned(),
            Authentication::Md5 { salt } => format!("MD5? {salt:?}"),
            Authentication::Sasl { mechanisms } => {
                format!("SASL? {:?}", mechanisms.map(text).collect::<Vec<_>>())
            }
            Authentication::SaslContinue(data) => format!("SASL: {}", text(data)),
            Authentication::SaslFinal(data) => format!("SASL!: {}", text(data)),
            Authentication::Other(method) => panic!("{method}"),
        },
        other => panic!("{:?}", char::from(other)),
    }
}
