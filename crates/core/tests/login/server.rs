//! Howdah at PostgreSQL's door.

use howdah_core::server::{
    LoginNonsense, OpenError, ServerLogin, ServerLoginNext, ServerLoginPlan, ServerSecret,
};
use howdah_wire::backend::{self, TransactionStatus};
use howdah_wire::sasl::{MECHANISM, Nonce, ScramError, ScramSecret, ScramServer, Standing};
use howdah_wire::{
    CancelKey, CancelSecret, ErrorResponse, Severity, SqlState, StartupPacket, frontend, write_message,
};

use crate::door::{SCRAM, pencil};

struct Opening {
    login: ServerLogin,
    sent: Vec<u8>,
}

fn open(secret: ServerSecret) -> Opening {
    let plan = ServerLoginPlan {
        user: "ann".to_owned(),
        database: "shop".to_owned(),
        parameters: vec![("application_name".to_owned(), "howdah".to_owned())],
        secret,
        nonce: [3; 18],
    };
    let mut sent = Vec::new();
    let login = ServerLogin::new(plan, &mut sent);
    Opening { login, sent }
}

impl Opening {
    /// Says something to Howdah; returns what Howdah answered, and how things stand.
    fn say(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> (Vec<u8>, ServerLoginNext) {
        let (mut input, mut out) = (Vec::new(), Vec::new());
        write(&mut input);
        let (_, next) = self.login.on_bytes(&input, &mut out);
        (out, next)
    }

    fn fails(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> OpenError {
        match self.say(write).1 {
            ServerLoginNext::Failed(error) => error,
            other => panic!("{other:?}"),
        }
    }
}

fn password_message(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    frontend::write_password(&mut out, text.as_bytes());
    out
}

fn out_of_place(tag: u8) -> OpenError {
    OpenError::Protocol(LoginNonsense::OutOfPlace { tag })
}

fn ready(out: &mut Vec<u8>) {
    backend::write_ready_for_query(out, TransactionStatus::Idle);
}

#[test]
fn it_begins_with_protocol_3_0_and_the_settings_of_the_entry() {
    let opening = open(ServerSecret::None);
    let Ok(Some((StartupPacket::Startup(startup), n))) = StartupPacket::parse(&opening.sent, 10_000) else {
        panic!()
    };
    assert_eq!(n, opening.sent.len());
    assert_eq!(startup.version.to_string(), "3.0");
    let shown: Vec<String> = startup.parameters.iter().map(|(n, v)| format!("{n}={v}")).collect();
    assert_eq!(shown, ["user=ann", "database=shop", "application_name=howdah"]);
}

#[test]
fn a_trusting_servers_welcome_is_kept() {
    let mut opening = open(ServerSecret::None);
    let key = CancelKey { pid: 77, secret: CancelSecret::from(*b"keys") };
    let mut input = Vec::new();
    backend::write_authentication_ok(&mut input);
    backend::write_parameter_status(&mut input, b"TimeZone", b"UTC");
    backend::write_parameter_status(&mut input, b"server_version", b"15.1");
    backend::write_parameter_status(&mut input, b"TimeZone", b"CET");
    backend::write_backend_key_data(&mut input, &key);
    ErrorResponse::new(Severity::Warning, SqlState::SUCCESSFUL_COMPLETION, "old").write_notice(&mut input);
    ready(&mut input);
    let end = input.len();
    backend::write_parameter_status(&mut input, b"later", b"x");
    let (n, next) = opening.login.on_bytes(&input, &mut Vec::new());
    let ServerLoginNext::Ready(welcome) = next else { panic!("{next:?}") };
    assert_eq!(n, end);
    let parameters = [("TimeZone", "CET"), ("server_version", "15.1")];
    assert_eq!(welcome.parameters, parameters.map(|(n, v)| (n.to_owned(), v.to_owned())));
    assert_eq!(welcome.cancel_key, Some(key));
}

#[test]
fn passwords_are_sent_as_they_are_asked_for() {
    let (sent, next) = open(pencil()).say(backend::write_authentication_cleartext);
    assert_eq!(sent, password_message("pencil"));
    assert!(matches!(next, ServerLoginNext::More));

    let hash = howdah_wire::md5::stored(b"pencil", "ann");
    let response = howdah_wire::md5::response(&hash, [1, 2, 3, 4]);
    for secret in [pencil(), ServerSecret::Md5(hash)] {
        let (sent, _) = open(secret).say(|out| backend::write_authentication_md5(out, [1, 2, 3, 4]));
        assert_eq!(sent, password_message(&response));
    }
}

#[test]
fn what_cannot_be_proved_is_said() {
    let sasl = |out: &mut Vec<u8>| backend::write_authentication_sasl(out, &[MECHANISM]);
    let md5 = |out: &mut Vec<u8>| backend::write_authentication_md5(out, [0; 4]);
    let hash = || ServerSecret::Md5(howdah_wire::md5::stored(b"pencil", "ann"));
    let user = || "ann".to_owned();
    let no = |asked| OpenError::NoSecret { user: user(), asked };
    let clear = "the password in clear text";
    assert_eq!(open(ServerSecret::None).fails(backend::write_authentication_cleartext), no(clear));
    assert_eq!(open(hash()).fails(backend::write_authentication_cleartext), no(clear));
    assert_eq!(open(hash()).fails(sasl), no("a SCRAM proof"));
    assert_eq!(open(ServerSecret::None).fails(md5), no("an MD5 password"));
    assert_eq!(open(ServerSecret::NotYetKnown).fails(sasl), OpenError::NotYetKnown { user: user() });
}

/// Goes through SCRAM up to the server's final message, which is not yet said.
fn scram() -> (Opening, Vec<u8>) {
    let mut opening = open(pencil());
    let (sent, _) = opening.say(|out| backend::write_authentication_sasl(out, &["OTHER", MECHANISM]));
    let initial = frontend::SaslInitialResponse::parse(&sent[5..]).unwrap();
    let secret = ScramSecret::parse(SCRAM).unwrap();
    let nonce = Nonce::from_random([8; 18]);
    let (server, first) = ScramServer::start(initial.data.unwrap(), &nonce, secret, Standing::Real).unwrap();
    let (sent, _) = opening.say(|out| backend::write_authentication_sasl_continue(out, &first));
    let verified = server.verify(&sent[5..]).unwrap();
    (opening, verified.server_final)
}

#[test]
fn a_server_must_prove_that_it_knows_the_secret_too() {
    let (mut opening, server_final) = scram();
    let (_, next) = opening.say(|out| {
        backend::write_authentication_sasl_final(out, &server_final);
        backend::write_authentication_ok(out);
        ready(out);
    });
    assert!(matches!(next, ServerLoginNext::Ready(_)));

    let (mut opening, _) = scram();
    assert_eq!(opening.fails(backend::write_authentication_ok), out_of_place(b'R'), "skipping it");

    let (mut opening, server_final) = scram();
    let forged = String::from_utf8(server_final).unwrap();
    let forged =
        if forged.starts_with("v=A") { forged.replacen('A', "B", 1) } else { format!("v=A{}", &forged[3..]) };
    let error = opening.fails(|out| backend::write_authentication_sasl_final(out, forged.as_bytes()));
    assert_eq!(error, OpenError::Scram(ScramError::WrongServerSignature));
}

#[test]
fn the_servers_own_error_is_passed_on_whole() {
    let said = ErrorResponse::new(
        Severity::Fatal,
        SqlState::TOO_MANY_CONNECTIONS,
        "sorry, too many clients already",
    )
    .hint("later");
    let error = open(ServerSecret::None).fails(|out| said.write(out));
    assert_eq!(error, OpenError::Refused(Box::new(said.clone())));
    assert_eq!(error.to_client(), said);
}

// docs/lessons.md, CVE-2026-6666.
#[test]
fn an_error_without_sqlstate_is_an_error_like_any_other() {
    for body in [&b""[..], b"\0", b"SFATAL\0\0", b"SERROR\0Mno\0", b"M", b"C12\0\0", b"\xff\xff\xff"] {
        let error = open(ServerSecret::None).fails(|out| write_message(out, b'E', body));
        let told = error.to_client();
        assert_eq!((told.severity, told.code), (Severity::Fatal, SqlState::INTERNAL_ERROR), "{body:?}");
        let mut out = Vec::new();
        told.write(&mut out);
        let message = ErrorResponse::parse(&out[5..]);
        assert_eq!(message, told);
    }
}

#[test]
fn nonsense_is_refused() {
    let trusted = || {
        let mut opening = open(ServerSecret::None);
        opening.say(backend::write_authentication_ok);
        opening
    };
    assert_eq!(trusted().fails(|out| write_message(out, b'D', b"")), out_of_place(b'D'));
    assert_eq!(trusted().fails(backend::write_authentication_ok), out_of_place(b'R'));
    assert_eq!(
        trusted().fails(|out| backend::write_ready_for_query(out, TransactionStatus::InTransaction)),
        OpenError::Protocol(LoginNonsense::InTransaction)
    );
    assert_eq!(
        trusted().fails(|out| backend::write_parameter_status(out, b"x", b"\xff")),
        OpenError::Protocol(LoginNonsense::NotUtf8)
    );
    assert_eq!(open(ServerSecret::None).fails(ready), out_of_place(b'Z'), "ready without a login");
    assert_eq!(
        open(ServerSecret::None).fails(|out| write_message(out, b'R', &7_u32.to_be_bytes())),
        OpenError::Protocol(LoginNonsense::Method(7))
    );
    assert_eq!(
        open(pencil()).fails(|out| backend::write_authentication_sasl(out, &["SCRAM-SHA-256-PLUS"])),
        OpenError::Protocol(LoginNonsense::Mechanisms)
    );
    assert!(matches!(
        trusted().fails(|out| write_message(out, b'K', b"123")),
        OpenError::Protocol(LoginNonsense::Malformed { tag: b'K', .. })
    ));
}

#[test]
fn a_server_cannot_make_us_remember_without_end() {
    for length in [b"S\0\x01\0\0", b"S\x7f\xff\xff\xff", b"E\x7f\xff\xff\xff"] {
        let error = open(ServerSecret::None).fails(|out| out.extend_from_slice(length));
        assert!(matches!(error, OpenError::Protocol(LoginNonsense::TooLong { .. })), "{error}");
    }
    for length in [b"S\0\0\0\x03", b"S\xff\xff\xff\xff"] {
        let error = open(ServerSecret::None).fails(|out| out.extend_from_slice(length));
        assert!(matches!(error, OpenError::Protocol(LoginNonsense::Frame(_))), "{error}");
    }
    let flood = |names: usize, value: usize| {
        open(ServerSecret::None).fails(|out| {
            backend::write_authentication_ok(out);
            for name in 0..names {
                backend::write_parameter_status(out, name.to_string().as_bytes(), &vec![b'x'; value]);
            }
        })
    };
    for error in [flood(1000, 1), flood(100, 60_000)] {
        assert_eq!(error, OpenError::Protocol(LoginNonsense::TooManyParameters));
    }
}

#[test]
fn every_failure_has_words_for_the_client() {
    let errors = [
        OpenError::Connect { reason: "connection refused".to_owned() },
        OpenError::Timeout,
        OpenError::Closed,
        OpenError::Protocol(LoginNonsense::NotUtf8),
        OpenError::Scram(ScramError::NonceMismatch),
        OpenError::NoSecret { user: "ann".to_owned(), asked: "an MD5 password" },
        OpenError::NotYetKnown { user: "ann".to_owned() },
    ];
    for error in errors {
        let told = error.to_client();
        assert_eq!(told.severity, Severity::Fatal);
        assert!(told.code.as_str().starts_with("08"), "{told}");
    }
}
