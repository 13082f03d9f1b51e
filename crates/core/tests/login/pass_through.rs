//! The same SCRAM secret at Howdah's door and at the server's: a client's proof is enough to get through both.

use std::sync::Arc;

use howdah_core::server::{OpenError, ServerSecret};
use howdah_core::settings::{AuthMethod, Database, Settings};
use howdah_wire::SqlState;
use howdah_wire::sasl::ScramSecret;
use howdah_wire::secret::Secret;

use crate::door::{Door, SCRAM, password, pencil};

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
    assert!(matches!(secret("plain"), ServerSecret::Plain(text) if *text == "other"));
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
