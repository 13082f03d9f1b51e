//! The list of all sentences, to be read.

use std::time::Instant;

use super::*;
use crate::pool::PoolKey;
use crate::session::{Pin, PinLedger, PinReason};

fn crowd() -> PinCrowd {
    let now = Instant::now();
    let pool = PoolKey { database: "shop".into(), user: "ann".into() };
    let ledger = PinLedger::new(pool, 1, |_| {});
    ledger.pin(12, "till", Pin::new(PinReason::TempObject, Some("t"), b"create temp table t ()", now));
    ledger.refuse(now + Duration::from_secs(34))
}

fn all() -> Vec<ErrorResponse> {
    vec![
        startup_packet(&StartupError::Length(-1)),
        startup_packet(&StartupError::Terminator),
        startup_packet(&StartupError::UnsupportedVersion(ProtocolVersion { major: 2, minor: 0 })),
        repeated_encryption_request(),
        no_user(),
        backend_switch("-z"),
        switch_without_value('c', "geqo"),
        switch_without_value('-', "geqo"),
        start_setting_denied("log_connections"),
        start_setting_without_effect("post_auth_delay"),
        replication(),
        trust_failed(),
        no_forced_user(),
        password_failed(),
        empty_password(),
        sasl_failed(ScramError::WrongProof),
        sasl_failed(ScramError::ChannelBindingRequired),
        sasl_mechanism(),
        not_an_answer(b'Q'),
        malformed_answer(),
        answer_length(u32::MAX),
        login_timeout(),
        no_such_database("shop"),
        console_not_allowed(),
        too_many_clients(),
        too_many_clients_of_database(),
        too_many_clients_of_user(),
        too_many_consoles(),
        server_unreachable("connection refused"),
        server_login_timeout(),
        server_closed_at_login(),
        server_nonsense("message of type 'D'"),
        server_not_trusted(ScramError::WrongServerSignature),
        no_secret_for_server("ann", "a password"),
        secret_not_yet_known("ann"),
        with_secret_hint(password_failed(), "ann"),
        state_refused(StateKind::Temp),
        state_refused(StateKind::Sequences),
        state_will_be_lost(StateKind::Sequences),
        state_will_be_lost(StateKind::Settings),
        too_many_pinned(StateKind::Locks, &crowd()),
        too_many_pinned_already(&crowd()),
        ended(CloseReason::PinIdleTimeout(PinReason::AdvisoryLock)),
    ]
}

#[test]
fn all_that_howdah_says() {
    let list: Vec<String> = all()
        .iter()
        .map(|error| {
            let part = |name: &str, text: &Option<String>| {
                text.as_ref().map(|text| format!("\n      {name}: {text}")).unwrap_or_default()
            };
            format!(
                "{} {} {}{}{}",
                error.severity,
                error.code,
                error.message,
                part("detail", &error.detail),
                part("hint", &error.hint)
            )
        })
        .collect();
    insta::assert_snapshot!(list.join("\n"), @r#"
    FATAL 08P01 invalid length of startup packet
          detail: The packet claims -1 bytes.
    FATAL 08P01 invalid startup packet
          detail: startup packet does not end with its terminator
    FATAL 0A000 unsupported frontend protocol 2.0: server supports 3.0 to 3.2
    FATAL 08P01 encryption was requested twice
    FATAL 28000 no username supplied
    FATAL 42601 invalid command-line argument for server process: -z
          hint: Try "postgres --help" for more information.
    FATAL 42601 -c geqo requires a value
    FATAL 42601 --geqo requires a value
    FATAL 42501 permission denied to set parameter "log_connections"
    WARNING 0A000 parameter "post_auth_delay" has no effect through a connection pool
          detail: It is fixed when a server connection is opened, and server connections are shared by clients.
          hint: Give it in the database's entry of the configuration, or connect to the server directly.
    FATAL 0A000 replication connections are not supported
          hint: Connect to the PostgreSQL server directly.
    FATAL 28000 "trust" authentication failed
    FATAL 28000 auth_type=any requires forced user
    FATAL 28P01 password authentication failed
    FATAL 28P01 empty password returned by client
    FATAL 28P01 SASL authentication failed
    FATAL 08P01 SASL authentication failed
          detail: client requires SCRAM channel binding, but it was not offered
    FATAL 08P01 client selected an invalid SASL authentication mechanism
    FATAL 08P01 expected password response, got message type 81
    FATAL 08P01 malformed password response
    FATAL 08P01 invalid length of password response
          detail: The message claims 4294967295 bytes.
    FATAL 08P01 client_login_timeout
    FATAL 3D000 no such database: shop
    FATAL 28000 not allowed
          hint: The console is for admin_users and stats_users.
    FATAL 53300 no more connections allowed (max_client_conn)
    FATAL 53300 client connections exceeded (max_db_client_connections)
    FATAL 53300 client connections exceeded (max_user_client_connections)
    FATAL 53300 no more console connections allowed
    FATAL 08001 could not connect to the server: connection refused
    FATAL 08001 could not log in to the server in time (server_connect_timeout)
    FATAL 08006 the server closed the connection during login
    FATAL 08006 the server does not follow the protocol at login
          detail: message of type 'D'
    FATAL 08006 SCRAM authentication with the server failed
          detail: SCRAM server signature is wrong
    FATAL 08001 the server asks for a password, and no fitting secret of user "ann" is known
          hint: Put the password into userlist.txt, or into the database's entry.
    FATAL 08001 user "ann" has to log in once before Howdah can log in to the server as that user
          detail: userlist.txt has a SCRAM secret only, and the key behind it is learnt from a client's login.
          hint: Log in as that user, or put the plain password into userlist.txt.
    FATAL 28P01 password authentication failed
          hint: userlist.txt has another SCRAM secret of user "ann" than the server: copy rolpassword from pg_authid.
    ERROR 0A000 not supported through this pool: temporary objects
          hint: The setting session_state refuses it ("temp:refuse"); "temp:pin" would allow it.
    ERROR 0A000 not supported through this pool: currval and lastval
          hint: The setting session_state refuses it ("sequences:refuse"); "sequences:warn" would allow it.
    WARNING 01000 cannot be relied on beyond this transaction: currval and lastval
          detail: The next transaction may run on another server connection.
          hint: Do it all in one transaction, or set session_state to "sequences:pin".
    WARNING 01000 cannot be relied on beyond this transaction: changed settings
          detail: The next transaction may run on another server connection.
          hint: Do it all in one transaction, or set session_state to "settings:carry".
    ERROR 53300 no server connection can be kept for this client (max_pinned): session-level advisory locks
          detail: 1 of at most 1 server connections of pool shop/ann are pinned: client 12 ("till") for 34 s by temporary object "t".
          hint: SHOW PINS on the console lists them; pin_idle_timeout ends those that are not used.
    FATAL 53300 no server connection can be kept for this client (max_pinned)
          detail: 1 of at most 1 server connections of pool shop/ann are pinned: client 12 ("till") for 34 s by temporary object "t".
          hint: SHOW PINS on the console lists them; pin_idle_timeout ends those that are not used.
    FATAL 57P05 pin_idle_timeout: session-level advisory lock
          detail: The client held a server connection for itself, by its session-level advisory lock, and did not use it.
    "#);
}
