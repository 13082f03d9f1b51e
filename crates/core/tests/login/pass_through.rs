//! The same SCRAM secret at Howdah's door and at the server's: a client's proof is enough to get through both.

use std::sync::Arc;
use std::time::Instant;

use howdah_core::client::Credentials;
use howdah_core::server::{OpenError, ServerSecret};
use howdah_core::settings::{AuthMethod, Database, Settings};
use howdah_wire::SqlState;
use howdah_wire::sasl::{ClientKey, ScramSecret, ServerKey};
use howdah_wire::secret::Secret;

use crate::door::{Door, SCRAM, Visit, password, pencil};

fn secret_of(door: &Door, user: &str) -> ServerSecret {
    door.credentials.server_secret(&door.settings, &Database::default(), user)
}

fn scram_door() -> Door {
    Door::new(AuthMethod::ScramSha256)
}

#[test]
fn the_key_learnt_from_a_client_opens_the_server() {
    let (howdah, postgres) = (scram_door(), scram_door());
    assert!(matches!(secret_of(&howdah, "scram"), ServerSecret::NotYetKnown));
    assert_eq!(howdah.knock("scram", "shop", password("wrong")).fate(), "SASL authentication failed");
    assert!(matches!(secret_of(&howdah, "scram"), ServerSecret::NotYetKnown));

    assert_eq!(howdah.knock("scram", "shop", pencil()).fate(), "welcome");
    assert_eq!(postgres.knock("scram", "shop", secret_of(&howdah, "scram")).fate(), "welcome");
}

#[test]
fn a_password_sent_in_clear_reveals_the_key_as_well() {
    let howdah = Door::new(AuthMethod::Plain);
    assert_eq!(howdah.knock("scram", "shop", pencil()).fate(), "welcome");
    assert_eq!(scram_door().knock("scram", "shop", secret_of(&howdah, "scram")).fate(), "welcome");
}

#[test]
fn before_the_first_login_the_server_cannot_be_opened_and_the_error_says_who_must_come() {
    let visit = scram_door().knock("scram", "shop", ServerSecret::NotYetKnown);
    let Some(Err(error)) = visit.client else { panic!() };
    assert_eq!(error, OpenError::NotYetKnown { user: "scram".to_owned() });
    assert!(error.to_client().message.contains("\"scram\" has to log in once"));
    // A server that trusts us does not need it.
    assert_eq!(
        Door::new(AuthMethod::Trust).knock("scram", "shop", ServerSecret::NotYetKnown).fate(),
        "welcome"
    );
}

#[test]
fn a_changed_secret_forgets_the_key() {
    let howdah = scram_door();
    howdah.knock("scram", "shop", pencil());
    let mut changed = Settings::clone(&howdah.settings);
    let other = ScramSecret::derive(b"pencil", vec![1; 16], 10).unwrap().to_text();
    changed.secrets.insert("scram".to_owned(), Secret::parse(&other));
    let secret =
        |settings: &Settings| howdah.credentials.server_secret(settings, &Database::default(), "scram");

    assert!(matches!(secret(&changed), ServerSecret::NotYetKnown), "the key of another secret is never used");
    assert!(matches!(secret(&howdah.settings), ServerSecret::Scram { .. }));
    howdah.credentials.retain_for(&howdah.settings);
    assert!(matches!(secret(&howdah.settings), ServerSecret::Scram { .. }));
    howdah.credentials.retain_for(&changed);
    assert!(matches!(secret(&howdah.settings), ServerSecret::NotYetKnown), "forgotten, not only passed over");
}

#[test]
fn a_server_with_another_secret_is_told_apart_from_a_wrong_password() {
    let howdah = scram_door();
    howdah.knock("scram", "shop", pencil());
    let other = ScramSecret::derive(b"pencil", vec![1; 16], 10).unwrap().to_text();
    let postgres = scram_door().with(|settings| {
        settings.secrets.insert("scram".to_owned(), Secret::parse(&other));
    });
    let visit = postgres.knock("scram", "shop", secret_of(&howdah, "scram"));
    let Some(Err(error @ OpenError::WrongSecret { .. })) = visit.client else { panic!("{:?}", visit.client) };
    let told = error.to_client();
    assert_eq!(told.code, SqlState::INVALID_PASSWORD);
    assert_eq!(told.message, "SASL authentication failed", "the server's own words");
    assert!(told.hint.unwrap().contains("copy rolpassword"));
}

#[test]
fn the_password_of_a_databases_entry_is_for_its_forced_user_and_goes_first() {
    let door = scram_door();
    let entry = Database {
        forced_user: Some("plain".to_owned()),
        password: Some(Secret::parse("other")),
        ..Database::default()
    };
    let secret = |user| door.credentials.server_secret(&door.settings, &entry, user);
    assert!(matches!(secret("plain"), ServerSecret::Plain { password, .. } if *password == "other"));
    assert!(matches!(secret("md5"), ServerSecret::Md5(_)));
    assert!(matches!(secret("empty"), ServerSecret::None));
    assert!(matches!(secret("ghost"), ServerSecret::None));

    // A SCRAM secret there is as good as the user's own proof of the same secret.
    let entry = Database {
        forced_user: Some("scram".to_owned()),
        password: Some(Secret::parse(SCRAM)),
        ..Database::default()
    };
    let secret = || door.credentials.server_secret(&door.settings, &entry, "scram");
    assert!(matches!(secret(), ServerSecret::NotYetKnown));
    door.knock("scram", "shop", pencil());
    assert!(matches!(secret(), ServerSecret::Scram { .. }));
}

/// How many salts a visit had to hash for.
fn remember_from(howdah: &Door, visit: Visit) -> usize {
    let Some(Ok(welcome)) = visit.client else { panic!("{:?}", visit.client) };
    let Some(keys) = welcome.derived else { return 0 };
    howdah.credentials.remember("plain", keys);
    1
}

fn known_salts(secret: &ServerSecret) -> usize {
    match secret {
        ServerSecret::Plain { derived, .. } => derived.len(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_password_is_hashed_once_for_each_server() {
    let howdah = scram_door();
    let servers = [scram_door(), Door { credentials: Arc::new(Credentials::new([8; 32])), ..scram_door() }];
    for postgres in &servers {
        let first = postgres.knock("plain", "shop", secret_of(&howdah, "plain"));
        let late = postgres.knock("plain", "shop", secret_of(&howdah, "plain"));
        assert_eq!(remember_from(&howdah, first), 1);
        assert_eq!(remember_from(&howdah, late), 1, "began before the first had ended");
    }
    assert_eq!(known_salts(&secret_of(&howdah, "plain")), 2);
    for postgres in &servers {
        let visit = postgres.knock("plain", "shop", secret_of(&howdah, "plain"));
        assert_eq!(visit.fate(), "welcome");
        assert_eq!(remember_from(&howdah, visit), 0);
    }
}

#[test]
fn a_login_that_fails_is_not_remembered() {
    let postgres = scram_door().with(|settings| {
        settings.secrets.insert("plain".to_owned(), Secret::parse("crayon"));
    });
    let visit = postgres.knock("plain", "shop", pencil());
    assert_eq!(visit.fate(), "SASL authentication failed");
    assert!(matches!(visit.client, Some(Err(_))), "nothing is handed back");
}

#[test]
fn a_server_that_changes_its_salt_each_time_is_not_remembered_without_end() {
    let howdah = scram_door();
    for seed in 0..100 {
        let postgres = Door { credentials: Arc::new(Credentials::new([seed; 32])), ..scram_door() };
        let visit = postgres.knock("plain", "shop", secret_of(&howdah, "plain"));
        remember_from(&howdah, visit);
        assert!(known_salts(&secret_of(&howdah, "plain")) <= 8);
    }
}

#[test]
fn a_changed_password_forgets_what_was_hashed_of_it() {
    let howdah = scram_door();
    remember_from(&howdah, scram_door().knock("plain", "shop", pencil()));
    let mut changed = Settings::clone(&howdah.settings);
    changed.secrets.insert("plain".to_owned(), Secret::parse("crayon"));
    let known = |settings: &Settings, entry: &Database| {
        known_salts(&howdah.credentials.server_secret(settings, entry, "plain"))
    };
    let entry = Database {
        forced_user: Some("plain".to_owned()),
        password: Some(Secret::parse("pencil")),
        ..Database::default()
    };
    assert_eq!(known(&howdah.settings, &Database::default()), 1);
    assert_eq!(known(&changed, &Database::default()), 0, "never used with another password");

    changed.databases.insert("forced".to_owned(), entry.clone());
    howdah.credentials.retain_for(&changed);
    assert_eq!(known(&changed, &entry), 1, "still the password of an entry's forced user");
    changed.databases.remove("forced");
    howdah.credentials.retain_for(&changed);
    assert_eq!(known(&howdah.settings, &Database::default()), 0, "forgotten, not only passed over");
}

#[test]
fn who_does_not_exist_costs_no_hashing() {
    let door = scram_door().with(|settings| settings.auth.scram_iterations = 20_000);
    let strangers = 50;
    // Keys, so that the one who knocks hashes nothing either.
    let refused = |user: &str| {
        let keys = ServerSecret::Scram {
            client_key: ClientKey::from_bytes([1; 32]),
            server_key: ServerKey::from_bytes([2; 32]),
        };
        assert_eq!(door.knock(user, "shop", keys).fate(), "SASL authentication failed");
    };
    let started = Instant::now();
    refused("plain");
    let one_hashing = started.elapsed();
    let started = Instant::now();
    for n in 0..strangers {
        refused(&format!("ghost{n}"));
    }
    assert!(started.elapsed() < one_hashing * strangers / 2, "{:?}", started.elapsed());
}

#[test]
fn nothing_secret_is_printed() {
    let door = scram_door();
    door.knock("scram", "shop", pencil());
    let shown =
        format!("{:?} {:?} {:?}", door.credentials, secret_of(&door, "scram"), secret_of(&door, "plain"));
    assert_eq!(shown, "Credentials(…) ServerSecret::Scram(…) ServerSecret::Plain(…)");
    let settings = format!("{:?}", Arc::clone(&door.settings));
    assert!(!settings.contains("pencil") && !settings.contains("W22Z"));
}
