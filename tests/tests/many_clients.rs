//! Five thousand clients at once share ten server connections; none fails, and an idle one costs little memory.

use std::thread;
use std::time::Instant;

use howdah_tests::{Database, Howdah, RawClient, eventually, message};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

#[test]
fn five_thousand_clients_are_served() {
    allow_files(CLIENTS as u64 + 500);
    let database = Database::create();
    let settings = [
        ("pool_mode", "transaction"),
        ("default_pool_size", "10"),
        ("max_client_conn", "5010"),
        ("log_connections", "0"),
        ("log_disconnections", "0"),
    ];
    let howdah = Howdah::before(&database, &settings);
    howdah.psql(database.name(), "select 1").unwrap();
    let before = howdah.rss_kib();

    let began = Instant::now();
    let mut crowd: Vec<Vec<RawClient>> = side_by_side(
        (0..THREADS).map(|_| || (0..CLIENTS / THREADS).map(|_| howdah.client(&database)).collect()),
    );
    let connected = began.elapsed();
    assert_eq!(
        eventually("the pool is there", || howdah.pool(&database)).number("cl_active"),
        CLIENTS as u64
    );
    let idle = howdah.rss_kib();

    // Now and then: one after the other, some at a time.
    let began = Instant::now();
    side_by_side(crowd.iter_mut().enumerate().map(|(group, clients)| {
        move || {
            for (number, client) in clients.iter_mut().enumerate() {
                let me = format!("{group} {number}");
                assert_eq!(client.value(&format!("select '{me}'")), me);
            }
        }
    }));
    // And all at the same moment: nearly all have to wait.
    side_by_side(crowd.iter_mut().enumerate().map(|(group, clients)| {
        move || {
            for (number, client) in clients.iter_mut().enumerate() {
                client.send(&message::query(&format!("select '{group} {number}'")));
            }
            for (number, client) in clients.iter_mut().enumerate() {
                let answer = client.read_until_ready();
                assert_eq!(answer[1].columns(), [Some(format!("{group} {number}"))]);
            }
        }
    }));
    let served = began.elapsed();
    assert!(database.backends() <= 10);
    report(&format!(
        "{CLIENTS} clients connected in {connected:.1?}, {} queries in {served:.1?}; resident: {before} KiB with none, \
         {} KiB per idle client, {} KiB per client after the rush",
        2 * CLIENTS,
        idle.saturating_sub(before) / CLIENTS as u64,
        howdah.rss_kib().saturating_sub(before) / CLIENTS as u64,
    ));
    let per_client = howdah.rss_kib().saturating_sub(before) / CLIENTS as u64;
    assert!(per_client <= MOST_KIB, "{per_client} KiB per client");
    drop(crowd);
    eventually("all have left", || (howdah.pool(&database)?.number("cl_active") == 0).then_some(()));
}

fn side_by_side<T: Send>(work: impl Iterator<Item = impl FnOnce() -> T + Send>) -> Vec<T> {
    thread::scope(|scope| {
        let threads: Vec<_> = work.map(|one| scope.spawn(one)).collect();
        threads.into_iter().map(|thread| thread.join().expect("no client failed")).collect()
    })
}

fn allow_files(wanted: u64) {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_some_and(|current| current < wanted) {
        assert!(
            maximum.is_none_or(|most| most >= wanted),
            "this test needs {wanted} open files, allowed are {maximum:?}"
        );
        setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum }).unwrap();
    }
}

#[expect(clippy::print_stderr, reason = "a figure to be looked at")]
fn report(text: &str) {
    eprintln!("{text}");
}

const CLIENTS: usize = 5000;
const THREADS: usize = 8;
/// What a client that has done its work may keep; a session and a task, no buffer.
const MOST_KIB: u64 = 8;
