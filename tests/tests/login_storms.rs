//! Many log in at once, and each password has to be hashed: who is in already is answered all the same.

use howdah_tests::{Database, Howdah, RawClient, eventually, message, postgres};

#[test]
fn queries_are_answered_while_the_secrets_of_many_users_are_hashed() {
    let database = Database::create();
    let users: Vec<String> = (0..STORM).map(|n| format!("user{n}")).collect();
    let secrets: Vec<_> = users.iter().map(|user| (user.as_str(), "geheim")).collect();
    let (howdah, mut settled) = start(&database, "scram-sha-256", &secrets);
    let first = b"n,,n=,r=abcdefghijklmnopqr";
    let len = u32::try_from(first.len()).unwrap().to_be_bytes();
    let word = message::tagged(b'p', &[b"SCRAM-SHA-256\0", &len[..], first].concat());
    let storm = users.iter().map(|user| knock(&howdah, &database, user)).collect();
    undisturbed_by(&mut settled, storm, &word);
}

#[test]
fn queries_are_answered_while_passwords_are_checked_against_a_hash() {
    let database = Database::create();
    let role = format!("{}_hashed", database.name());
    postgres().psql(&format!("create role {role} login password 'geheim'")).unwrap();
    let ask = format!("select rolpassword from pg_authid where rolname = '{role}'");
    let (howdah, mut settled) = start(&database, "plain", &[(&role, &postgres().psql(&ask).unwrap())]);
    for password in ["geheim", "falsch"] {
        let storm = (0..STORM).map(|_| knock(&howdah, &database, &role)).collect();
        undisturbed_by(&mut settled, storm, &message::password(password));
    }
    drop((howdah, settled));
    postgres().psql(&format!("drop role {role}")).unwrap();
}

/// A Howdah with one worker, and a client that got in before it asked for anything.
fn start(database: &Database, auth_type: &str, secrets: &[(&str, &str)]) -> (Howdah, RawClient) {
    let builder = Howdah::builder().database(database.name(), &database.server());
    let builder = builder.setting("pool_mode", "transaction").setting("workers", 1);
    let builder = secrets.iter().fold(builder, |builder, (user, secret)| builder.secret(user, secret));
    let mut howdah = builder.start();
    let mut settled = howdah.client(database);
    settled.run("select 1");
    howdah.reconfigure(|builder| builder.setting("auth_type", auth_type));
    eventually("passwords are asked for", || {
        let mut client = howdah.raw();
        client.send(&message::startup(&[("user", secrets[0].0), ("database", database.name())]));
        (client.expect(b'R').body != [0; 4]).then_some(())
    });
    (howdah, settled)
}

/// Somebody who has been asked for a proof.
fn knock(howdah: &Howdah, database: &Database, user: &str) -> RawClient {
    let mut client = howdah.raw();
    client.send(&message::startup(&[("user", user), ("database", database.name())]));
    client.expect(b'R');
    client
}

/// All of the storm say this at once, and each word costs a hashing; a query of who is in already is answered after
/// a few of them.
fn undisturbed_by(settled: &mut RawClient, mut storm: Vec<RawClient>, word: &[u8]) {
    storm.iter_mut().for_each(|client| client.send(word));
    let answered = |storm: &[RawClient]| storm.iter().filter(|client| client.has_news()).count();
    eventually("hashing has begun", || (answered(&storm) > 0).then_some(()));
    let before = answered(&storm);
    assert_eq!(settled.value("select 'served'"), "served");
    let after = answered(&storm);
    print(&format!("of {STORM}, {before} were answered when the query was sent and {after} when it was"));
    assert!(before < STORM / 4, "{before} of {STORM}: that is no storm");
    assert!(after < STORM / 2, "{after} of {STORM} came first");
    for client in &mut storm {
        let answer = client.read();
        assert!(answer.tag == b'R' || answer.sqlstate() == "28P01", "{answer:?}");
    }
}

#[expect(clippy::print_stdout, reason = "shown with --nocapture: how long a query waits")]
fn print(fact: &str) {
    println!("{fact}");
}

const STORM: usize = 60;
