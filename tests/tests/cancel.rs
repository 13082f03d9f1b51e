//! A cancel request reaches exactly the query it was meant for.

use std::sync::atomic::{AtomicBool, Ordering};

use howdah_tests::{Database, Howdah, RawClient, eventually, message, only_error, tags};

const POOL_OF_ONE: [(&str, &str); 2] = [("pool_mode", "transaction"), ("default_pool_size", "1")];

#[test]
fn the_running_query_is_cancelled_and_nothing_else() {
    let database = Database::create();
    for mode in ["session", "transaction", "statement"] {
        let howdah = Howdah::before(&database, &[("pool_mode", mode)]);
        let (mut one, mut two) = (howdah.client(&database), howdah.client(&database));
        one.send(&message::query("select pg_sleep(600)"));
        two.send(&message::query("select pg_sleep(600)"));
        sleeping(&database, 2);
        howdah.cancel(&one.cancel_key);
        assert_eq!(only_error(&one.read_until_ready()).0, "57014");
        assert_eq!(one.value("select 1"), "1", "the client goes on");
        sleeping(&database, 1);
        howdah.cancel(&two.cancel_key);
        assert_eq!(only_error(&two.read_until_ready()).0, "57014");
    }
}

#[test]
fn it_is_cancelled_through_the_unix_socket_too() {
    let database = Database::create();
    let howdah = Howdah::before(&database, &POOL_OF_ONE);
    let mut client = howdah.client(&database);
    client.send(&message::query("select pg_sleep(600)"));
    sleeping(&database, 1);
    let mut messenger = RawClient::unix(&howdah.socket_path());
    messenger.send(&message::cancel_request(&client.cancel_key));
    assert_eq!(messenger.read_to_end(), []);
    assert_eq!(only_error(&client.read_until_ready()).0, "57014");
}

#[test]
fn a_batch_is_cancelled_up_to_its_sync() {
    let database = Database::create();
    let howdah = Howdah::before(&database, &POOL_OF_ONE);
    let mut client = howdah.client(&database);
    let slow = [message::parse("", "select pg_sleep(600)"), message::bind("", "", &[])].concat();
    let after = [message::parse("", "select 1"), message::bind("", "", &[])].concat();
    let run = message::execute("", 0);
    client.send(&[slow, run.clone(), after, run, message::sync(), message::query("select 2")].concat());
    sleeping(&database, 1);
    howdah.cancel(&client.cancel_key);
    let batch = client.read_until_ready();
    assert_eq!((tags(&batch).as_str(), only_error(&batch).0.as_str()), ("12EZ", "57014"));
    assert_eq!(tags(&client.read_until_ready()), "TDCZ", "what was sent after the Sync is another request");
}

/// A request that comes too late, or while another client has the server connection, must do nothing.
/// Over when this ends, in a panic too: nobody waits for hunters who hunt on.
struct EndOf<'a>(&'a AtomicBool);

impl Drop for EndOf<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_later_query_on_the_same_backend_is_never_hit() {
    let database = Database::create();
    let howdah = Howdah::before(&database, &POOL_OF_ONE);
    let (mut hunted, mut bystander) = (howdah.client(&database), howdah.client(&database));
    let key = hunted.cancel_key.clone();
    let over = AtomicBool::new(false);
    let (hits, misses) = std::thread::scope(|scope| {
        let _until = EndOf(&over);
        let hunters: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    while !over.load(Ordering::Relaxed) {
                        howdah.cancel(&key);
                    }
                })
            })
            .collect();
        let quiet = scope.spawn(|| {
            // On the same backend in turns with the hunted client, and never hit.
            for turn in 0..400 {
                let answer = bystander.query(&format!("select {turn}"));
                assert_eq!(tags(&answer), "TDCZ", "the bystander got {answer:?}");
            }
        });
        let (mut hits, mut misses) = (0, 0);
        for turn in 0..400 {
            let answer = hunted.query(&format!("select {turn} from pg_sleep(0.001)"));
            match tags(&answer).as_str() {
                "TDCZ" => {
                    let row = answer.iter().find(|m| m.tag == b'D').unwrap();
                    assert_eq!(row.columns(), [Some(turn.to_string())]);
                    misses += 1;
                }
                // The last: cancelled between its only row and its end.
                "EZ" | "TEZ" | "TDEZ" => {
                    assert_eq!(only_error(&answer).0, "57014");
                    hits += 1;
                }
                other => panic!("{other}: {answer:?}"),
            }
        }
        quiet.join().unwrap();
        over.store(true, Ordering::Relaxed);
        for hunter in hunters {
            hunter.join().unwrap();
        }
        (hits, misses)
    });
    assert!(hits > 0, "nothing was ever hit; {misses} missed");
    assert_eq!(hunted.value("select 'well'"), "well");
    assert_eq!(bystander.value("select 'well'"), "well");
}

#[test]
fn a_client_in_line_is_cancelled_and_goes_on() {
    let database = Database::create();
    database.psql("create table t (n int)");
    let howdah = Howdah::before(&database, &POOL_OF_ONE);
    let (mut holder, mut waiter) = (howdah.client(&database), howdah.client(&database));
    holder.run("begin");
    waiter.send(&message::query("insert into t values (1)"));
    waiting(&howdah, &database, 1);
    howdah.cancel(&waiter.cancel_key);
    assert_eq!(only_error(&waiter.read_until_ready()).0, "57014");
    holder.run("commit");
    assert_eq!(waiter.value("select count(*) from t"), "0");
}

#[test]
fn a_client_in_line_with_a_batch_skips_to_its_sync() {
    let database = Database::create();
    database.psql("create table t (n int)");
    let howdah = Howdah::before(&database, &POOL_OF_ONE);
    let (mut holder, mut waiter) = (howdah.client(&database), howdah.client(&database));
    holder.run("begin");
    let insert = [message::parse("", "insert into t values (1)"), message::bind("", "", &[])].concat();
    waiter.send(&[insert.clone(), message::execute("", 0)].concat());
    waiting(&howdah, &database, 1);
    howdah.cancel(&waiter.cancel_key);
    assert_eq!(only_error(&[waiter.read()]).0, "57014");
    waiting(&howdah, &database, 0);
    // Skipped: the rest of the batch. Heard: what follows its Sync.
    waiter.send(&[insert, message::execute("", 0), message::sync()].concat());
    assert_eq!(waiter.expect_ready(), b'I');
    holder.run("commit");
    assert_eq!(waiter.value("select count(*) from t"), "0");
}

#[test]
fn a_wrong_key_does_nothing() {
    let database = Database::create();
    let howdah = Howdah::before(&database, &POOL_OF_ONE);
    let mut client = howdah.client(&database);
    client.send(&message::query("select 'done' from pg_sleep(0.5)"));
    sleeping(&database, 1);
    let key = client.cancel_key.clone();
    let mut wrong_secret = key.clone();
    *wrong_secret.last_mut().unwrap() ^= 1;
    let mut wrong_pid = key.clone();
    wrong_pid[3] ^= 1;
    for wrong in [wrong_secret, wrong_pid, key[..7].to_vec(), [&key[..], b"x"].concat(), vec![0; 8]] {
        let mut messenger = howdah.raw();
        messenger.send(&message::cancel_request(&wrong));
        // A request of the wrong length is told so, perhaps; nothing is cancelled in any case.
        messenger.read_to_end();
    }
    assert_eq!(tags(&client.read_until_ready()), "TDCZ");
}

#[test]
fn a_key_is_worth_nothing_once_its_client_has_gone() {
    let database = Database::create();
    let howdah = Howdah::before(&database, &POOL_OF_ONE);
    let mut former = howdah.client(&database);
    let key = former.cancel_key.clone();
    former.send(&message::terminate());
    former.read_to_end();
    let mut client = howdah.client(&database);
    client.send(&message::query("select 'done' from pg_sleep(0.3)"));
    sleeping(&database, 1);
    howdah.cancel(&key);
    assert_eq!(tags(&client.read_until_ready()), "TDCZ");
}

#[test]
fn an_idle_client_is_not_hurt() {
    let database = Database::create();
    let howdah = Howdah::before(&database, &POOL_OF_ONE);
    let mut client = howdah.client(&database);
    for turn in 0..50 {
        howdah.cancel(&client.cancel_key);
        assert_eq!(client.value(&format!("select {turn}")), turn.to_string());
    }
    client.run("begin");
    howdah.cancel(&client.cancel_key);
    assert_eq!(tags(&client.query("select 1; commit")), "TDCCZ");
}

#[test]
fn protocol_3_2_has_long_keys() {
    let database = Database::create();
    let howdah = Howdah::before(&database, &POOL_OF_ONE);
    let mut client = howdah.raw();
    client
        .send(&message::startup_with((3 << 16) + 2, &[("user", "postgres"), ("database", database.name())]));
    client.welcome();
    assert!(client.cancel_key.len() > 8, "{} bytes", client.cancel_key.len());
    client.send(&message::query("select pg_sleep(600)"));
    sleeping(&database, 1);
    let short = client.cancel_key[..8].to_vec();
    howdah.raw().send(&message::cancel_request(&short));
    howdah.cancel(&client.cancel_key);
    assert_eq!(only_error(&client.read_until_ready()).0, "57014");
}

/// Waits until so many queries of this database are in pg_sleep.
fn sleeping(database: &Database, expected: usize) {
    let mut direct = database.direct();
    let count =
        "select count(*) from pg_stat_activity where wait_event = 'PgSleep' and datname = current_database()";
    eventually("they sleep", || (direct.value(count) == expected.to_string()).then_some(()));
}

fn waiting(howdah: &Howdah, database: &Database, expected: u64) {
    eventually("so many wait", || (howdah.pool(database)?.number("cl_waiting") == expected).then_some(()));
}
