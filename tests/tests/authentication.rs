//! Who gets in, and as whom Howdah logs in to PostgreSQL: every `auth_type` with every kind of secret, on both sides.

use howdah_tests::{
    Database, Howdah, HowdahBuilder, RawClient, eventually, message, only_error, postgres, psql,
};

#[test]
fn every_auth_type_takes_the_secrets_it_can_check() {
    let database = Database::create();
    let [plain, md5, scram] =
        [Role::trusted(&database, "p"), Role::md5(&database, "m"), Role::scram(&database, "s")];
    let secrets = |builder: HowdahBuilder| {
        builder
            .secret(&plain.name, PASSWORD)
            .secret(&md5.name, &md5.stored())
            .secret(&scram.name, &scram.stored())
    };
    for (auth_type, taken) in
        [("plain", [true, true, true]), ("md5", [true, true, true]), ("scram-sha-256", [true, false, true])]
    {
        let howdah = secrets(before(&database)).setting("auth_type", auth_type).start();
        for (role, taken) in [&plain, &md5, &scram].into_iter().zip(taken) {
            let said = log_in(&howdah, &database, &role.name, PASSWORD);
            assert_eq!(said.as_deref() == Ok(&*role.name), taken, "{auth_type} {}: {said:?}", role.name);
            let said = log_in(&howdah, &database, &role.name, "falsch").unwrap_err();
            assert!(said.contains("authentication failed"), "{auth_type} {}: {said}", role.name);
        }
    }
}

#[test]
fn trust_asks_for_a_known_name_and_no_password() {
    let database = Database::create();
    let role = Role::trusted(&database, "t");
    let howdah = before(&database).secret(&role.name, "").start();
    assert_eq!(
        psql(&howdah.conninfo(database.name(), &role.name), "select current_user").unwrap(),
        role.name
    );
    let refusal = refusal(&howdah, &database, "stranger");
    assert_eq!(refusal, ("28000".into(), "\"trust\" authentication failed".into()));
}

#[test]
fn a_refused_login_is_logged_with_who_it_was_and_from_where() {
    let database = Database::create();
    let howdah = before(&database).start();
    let refusals = || howdah.log().lines().filter(|line| line.contains("login refused")).count();
    let mut nameless = howdah.raw();
    nameless.send(&[message::ssl_request(), message::ssl_request()].concat());
    assert_eq!(nameless.read_byte(), b'N');
    nameless.read_to_end();
    let line = howdah.wait_for_log("login refused");
    assert!(line.contains("peer=127.0.0.1:") && line.contains("reason="), "{line}");
    assert!(!line.contains("user=") && !line.contains("database="), "{line}");

    refusal(&howdah, &database, "eve\nINFO login refused");
    let line = howdah.wait_for_log("user=");
    let named = format!(r#"database="{}" user="eve\nINFO login refused""#, database.name());
    assert!(line.contains("peer=127.0.0.1:") && line.contains(&named), "{line}");
    assert_eq!(refusals(), 2, "nobody writes lines of his own: {}", howdah.log());
}

#[test]
fn any_takes_every_name_and_makes_it_the_forced_user() {
    let database = Database::create();
    let role = Role::trusted(&database, "a");
    let server = format!("{} user={}", database.server(), role.name);
    let howdah = Howdah::builder()
        .database("forced", &server)
        .database("free", &database.server())
        .setting("auth_type", "any")
        .start();
    for user in ["postgres", "nobody at all"] {
        let mut client = howdah.raw();
        client.login("forced", user);
        assert_eq!(client.value("select current_user"), role.name);
    }
    let mut client = howdah.raw();
    client.send(&message::startup(&[("user", "postgres"), ("database", "free")]));
    let refusal = only_error(&client.read_to_end());
    assert_eq!(refusal, ("28000".into(), "auth_type=any requires forced user".into()));
}

#[test]
fn an_unknown_user_looks_like_a_wrong_password() {
    let database = Database::create();
    let role = Role::trusted(&database, "known");
    for auth_type in ["plain", "md5", "scram-sha-256"] {
        let howdah = before(&database).secret(&role.name, PASSWORD).setting("auth_type", auth_type).start();
        let known = log_in(&howdah, &database, &role.name, "falsch").unwrap_err();
        let unknown = log_in(&howdah, &database, "stranger", "falsch").unwrap_err();
        assert_eq!(known, unknown, "{auth_type}");
        assert!(known.contains("authentication failed"), "{auth_type}: {known}");
        let challenge = |user| {
            let mut client = knock(&howdah, &database, user);
            let challenge = client.expect(b'R');
            challenge.body.get(..4).unwrap().to_vec()
        };
        assert_eq!(challenge(&role.name), challenge("stranger"), "{auth_type}");
    }
}

#[test]
fn the_salt_of_somebody_who_does_not_exist_stays_the_same() {
    let database = Database::create();
    let role = Role::trusted(&database, "known");
    let howdah = before(&database).secret(&role.name, PASSWORD).setting("auth_type", "scram-sha-256").start();
    let salt = |user| {
        let mut client = knock(&howdah, &database, user);
        client.expect(b'R');
        client.send(&sasl_initial("n,,n=,r=abcdefghijkl"));
        let first = String::from_utf8(client.expect(b'R').body.split_off(4)).unwrap();
        let (nonce, rest) = first.split_once(",s=").unwrap();
        assert!(nonce.starts_with("r=abcdefghijkl") && nonce.len() > 30, "{first}");
        rest.to_owned()
    };
    assert_eq!(salt("stranger"), salt("stranger"));
    assert_ne!(salt("stranger"), salt("another"));
    assert_eq!(salt("stranger").len(), salt(&role.name).len());
    assert!(salt("stranger").ends_with(",i=4096"));
}

#[test]
fn an_empty_password_in_userlist_opens_no_door_that_asks_for_one() {
    let database = Database::create();
    for auth_type in ["plain", "md5", "scram-sha-256"] {
        let howdah = before(&database).setting("auth_type", auth_type).start();
        // An empty password with `plain` is refused before it is compared.
        let mut client = knock(&howdah, &database, "postgres");
        client.expect(b'R');
        client.send(&message::password(""));
        let said = client.read_to_end();
        assert!(
            only_error(&said).0.starts_with("28") || only_error(&said).0 == "08P01",
            "{auth_type}: {said:?}"
        );
        assert!(log_in(&howdah, &database, "postgres", "x").is_err(), "{auth_type}");
    }
}

#[test]
fn howdah_proves_itself_to_the_server_with_a_plain_secret() {
    let database = Database::create();
    for role in [Role::scram(&database, "s"), Role::md5(&database, "m"), Role::plain(&database, "p")] {
        let role = role.guarded();
        let howdah =
            before(&database).secret(&role.name, PASSWORD).setting("auth_type", "scram-sha-256").start();
        assert_eq!(log_in(&howdah, &database, &role.name, PASSWORD).unwrap(), role.name);
        drop(howdah);
        // A wrong one is refused by the server, in the server's words.
        let howdah = before(&database).secret(&role.name, "falsch").start();
        let (code, text) = refusal(&howdah, &database, &role.name);
        assert_eq!(code, "28P01", "{text}");
        assert!(
            text.contains(&format!("password authentication failed for user \"{}\"", role.name)),
            "{text}"
        );
    }
}

#[test]
fn an_md5_secret_logs_in_to_a_server_that_asks_for_md5() {
    let database = Database::create();
    let role = Role::md5(&database, "m").guarded();
    let howdah = before(&database).secret(&role.name, &role.stored()).setting("auth_type", "md5").start();
    assert_eq!(log_in(&howdah, &database, &role.name, PASSWORD).unwrap(), role.name);
}

#[test]
fn a_secret_that_does_not_fit_the_servers_question_is_named() {
    let database = Database::create();
    let role = Role::md5(&database, "m");
    let stored = role.stored();
    let scram = Role::scram(&database, "s").guarded();
    // The MD5 secret of one for the SCRAM server of the other: it cannot be used, whatever it is.
    let howdah = before(&database).secret(&scram.name, &stored).start();
    let (code, text) = refusal(&howdah, &database, &scram.name);
    assert_eq!(code, "08001", "{text}");
    assert!(text.contains("no fitting secret of user"), "{text}");
}

#[test]
fn the_servers_scram_secret_is_enough_on_both_sides() {
    let database = Database::create();
    let role = Role::scram(&database, "s").guarded();
    let howdah = before(&database)
        .secret(&role.name, &role.stored())
        .setting("auth_type", "scram-sha-256")
        .setting("pool_mode", "transaction")
        .start();
    assert_eq!(log_in(&howdah, &database, &role.name, PASSWORD).unwrap(), role.name);
    assert!(log_in(&howdah, &database, &role.name, "falsch").is_err());
    // The key is known now and opens further connections.
    reconnect(&howdah);
    assert_eq!(log_in(&howdah, &database, &role.name, PASSWORD).unwrap(), role.name);
}

#[test]
fn before_the_first_login_nothing_can_be_opened_and_afterwards_everything() {
    let database = Database::create();
    let role = Role::scram(&database, "s").guarded();
    let server = format!("{} user={} min_pool_size=2", database.server(), role.name);
    let howdah = Howdah::builder()
        .database("app", &server)
        .secret(&role.name, &role.stored())
        .secret("other", PASSWORD)
        .setting("auth_type", "scram-sha-256")
        .setting("pool_mode", "transaction")
        .start();
    howdah.wait_for_log("has to log in once");
    let conninfo = |user: &str| format!("{} password={PASSWORD}", howdah.conninfo("app", user));
    let refusal = psql(&conninfo("other"), "select 1").unwrap_err();
    assert!(refusal.contains(&format!("user \"{}\" has to log in once", role.name)), "{refusal}");
    // Nobody waits for server_login_retry: the login brings the key.
    assert_eq!(psql(&conninfo(&role.name), "select current_user").unwrap(), role.name);
    assert_eq!(psql(&conninfo("other"), "select current_user").unwrap(), role.name);
    eventually("the smallest size is reached", || {
        let open = format!("select count(*) from pg_stat_activity where usename = '{}'", role.name);
        (database.psql(&open) == "2").then_some(())
    });
}

#[test]
fn a_changed_secret_forgets_the_key() {
    let database = Database::create();
    let role = Role::scram(&database, "s").guarded();
    let mut howdah = before(&database)
        .secret(&role.name, &role.stored())
        .setting("auth_type", "scram-sha-256")
        .setting("server_login_retry", "0.1")
        .start();
    assert_eq!(log_in(&howdah, &database, &role.name, PASSWORD).unwrap(), role.name);

    role.change_password("neu");
    // The server has another secret than Howdah: the old key opens nothing any more, and the server says so.
    reconnect(&howdah);
    let refusal = log_in(&howdah, &database, &role.name, PASSWORD).unwrap_err();
    assert!(refusal.contains("password authentication failed"), "{refusal}");
    assert!(refusal.contains("copy rolpassword from pg_authid"), "{refusal}");

    let stored = role.stored();
    howdah.reconfigure(|builder| builder.secret(&role.name, &stored));
    let said = eventually("the new secret counts", || log_in(&howdah, &database, &role.name, "neu").ok());
    assert_eq!(said, role.name);
    assert!(log_in(&howdah, &database, &role.name, PASSWORD).is_err());
}

#[test]
fn the_databases_own_user_and_password_serve_everybody() {
    let database = Database::create();
    let role = Role::scram(&database, "s").guarded();
    let server = format!("{} user={} password={PASSWORD}", database.server(), role.name);
    let howdah = Howdah::builder()
        .database("app", &server)
        .database("wrong", &server.replace(PASSWORD, "falsch"))
        .secret("ann", "ann's")
        .setting("auth_type", "scram-sha-256")
        .start();
    let ask = "select current_user";
    let conninfo = |database: &str, password: &str| {
        format!("{} password='{password}'", howdah.conninfo(database, "ann"))
    };
    assert_eq!(psql(&conninfo("app", "ann\\'s"), ask).unwrap(), role.name);
    // The server's password opens nothing at the door.
    assert!(psql(&conninfo("app", PASSWORD), ask).is_err());
    let refusal = psql(&conninfo("wrong", "ann\\'s"), ask).unwrap_err();
    assert!(refusal.contains("password authentication failed"), "{refusal}");
    for told in ["cannot open a server connection", "no server connection for a client"] {
        let line = howdah.wait_for_log(told);
        assert!(line.contains(&format!("pool=wrong/{}", role.name)), "which of many: {line}");
    }
}

#[test]
fn passwords_are_compared_as_scram_wants_them_prepared() {
    let database = Database::create();
    // SASLprep makes one of both spellings: ROMAN NUMERAL NINE is IX, a non-breaking space a space.
    let role = Role::scram(&database, "s").guarded();
    role.change_password("IX a");
    let howdah =
        before(&database).secret(&role.name, "\u{2168}\u{a0}a").setting("auth_type", "scram-sha-256").start();
    assert_eq!(log_in(&howdah, &database, &role.name, "\u{2168}\u{a0}a").unwrap(), role.name);
    assert_eq!(log_in(&howdah, &database, &role.name, "IX a").unwrap(), role.name);
}

#[test]
fn a_refused_login_is_logged_with_who_where_and_why() {
    let database = Database::create();
    let howdah = before(&database).setting("auth_type", "scram-sha-256").secret("postgres", PASSWORD).start();
    log_in(&howdah, &database, "postgres", "falsch").unwrap_err();
    let line = howdah.wait_for_log("login refused");
    for part in ["127.0.0.1:", database.name(), "postgres", "SASL authentication failed"] {
        assert!(line.contains(part), "{part}: {line}");
    }
}

#[test]
fn no_name_can_forge_a_line_of_the_log() {
    let database = Database::create();
    let howdah = Howdah::builder()
        .database("app", &format!("{} user=postgres", database.server()))
        .setting("auth_type", "any")
        .start();
    for database in ["app", "nowhere\nFORGED line", "pgbouncer"] {
        let mut client = howdah.raw();
        let wishes =
            [("user", "x\nFORGED line"), ("database", database), ("application_name", "a\nFORGED line")];
        client.send(&message::startup(&wishes));
        client.send(&message::terminate());
        client.read_to_end();
    }
    howdah.wait_for_log("client closed");
    howdah.wait_for_log("no such database");
    assert!(!howdah.log().lines().any(|line| line.starts_with("FORGED")), "{}", howdah.log());
}

#[test]
fn no_secret_is_ever_logged() {
    let database = Database::create();
    let role = Role::scram(&database, "s").guarded();
    let stored = role.stored();
    let howdah = before(&database)
        .secret(&role.name, &stored)
        .secret("other", "sehr geheim")
        .setting("auth_type", "scram-sha-256")
        .setting("verbose", 3)
        .start();
    log_in(&howdah, &database, &role.name, PASSWORD).unwrap();
    log_in(&howdah, &database, &role.name, "falscher Hase").unwrap_err();
    log_in(&howdah, &database, "other", "sehr geheim").unwrap_err();
    howdah.wait_for_log("no server connection age");
    let log = howdah.log();
    for secret in [PASSWORD, &stored, "sehr geheim", "falscher Hase"] {
        assert!(!log.contains(secret), "{secret} was logged");
    }
}

/// Logs in with a password and asks who we are on the server.
fn log_in(howdah: &Howdah, database: &Database, user: &str, password: &str) -> Result<String, String> {
    let conninfo = format!("{} password='{password}'", howdah.conninfo(database.name(), user));
    psql(&conninfo, "select current_user")
}

/// What a client without a password is told.
fn refusal(howdah: &Howdah, database: &Database, user: &str) -> (String, String) {
    only_error(&knock(howdah, database, user).read_to_end())
}

fn knock(howdah: &Howdah, database: &Database, user: &str) -> RawClient {
    let mut client = howdah.raw();
    client.send(&message::startup(&[("user", user), ("database", database.name())]));
    client
}

/// As the operator who runs Howdah: no password is asked.
fn reconnect(howdah: &Howdah) {
    psql(&howdah.unix_conninfo("pgbouncer", "pgbouncer"), "RECONNECT").unwrap();
}

fn before(database: &Database) -> HowdahBuilder {
    Howdah::builder().database(database.name(), &database.server())
}

fn sasl_initial(first: &str) -> Vec<u8> {
    let len = u32::try_from(first.len()).unwrap().to_be_bytes();
    message::tagged(b'p', &[b"SCRAM-SHA-256\0", &len[..], first.as_bytes()].concat())
}

/// A role in PostgreSQL with [`PASSWORD`]; dropped with the test.
struct Role {
    name: String,
    asks: Option<&'static str>,
}

impl Role {
    fn trusted(database: &Database, name: &str) -> Role {
        Role::create(database, name, "scram-sha-256", None)
    }

    fn scram(database: &Database, name: &str) -> Role {
        Role::create(database, name, "scram-sha-256", Some("auth_scram"))
    }

    fn md5(database: &Database, name: &str) -> Role {
        Role::create(database, name, "md5", Some("auth_md5"))
    }

    fn plain(database: &Database, name: &str) -> Role {
        Role::create(database, name, "scram-sha-256", Some("auth_plain"))
    }

    fn create(database: &Database, name: &str, encryption: &str, asks: Option<&'static str>) -> Role {
        let name = format!("{}_{name}", database.name());
        let create = format!("create role {name} login password '{PASSWORD}'");
        postgres().psql(&format!("set password_encryption = '{encryption}'; {create}")).unwrap();
        Role { name, asks }
    }

    /// From now on the server asks for the password.
    fn guarded(self) -> Role {
        let group = self.asks.unwrap();
        postgres().psql(&format!("grant {group} to {}", self.name)).unwrap();
        self
    }

    /// What the server keeps of its password.
    fn stored(&self) -> String {
        let ask = format!("select rolpassword from pg_authid where rolname = '{}'", self.name);
        postgres().psql(&ask).unwrap()
    }

    fn change_password(&self, password: &str) {
        postgres().psql(&format!("alter role {} password '{password}'", self.name)).unwrap();
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        // The server goes with the test program; a role that will not go is no reason to fail.
        let _ = postgres().psql(&format!("drop role {}", self.name));
    }
}

const PASSWORD: &str = "geheim";
