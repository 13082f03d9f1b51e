//! Ten thousand clients that come and leave, at every step from the first byte to the last: nothing of them stays.

use std::thread;

use howdah_tests::{Database, Howdah, RawClient, eventually, message};

#[test]
fn ten_thousand_that_connect_and_leave_leave_nothing() {
    let database = Database::create();
    let howdah = Howdah::builder()
        .database(database.name(), &database.server())
        .setting("pool_mode", "transaction")
        .setting("default_pool_size", SIZE)
        .setting("log_connections", 0)
        .setting("log_disconnections", 0)
        .setting("log_pooler_errors", 0)
        .start();
    let mut witness = howdah.client(&database);
    // The first of them make buffers and maps as large as they get.
    visit(&howdah, &database, 1000);
    let (memory, descriptors) = (howdah.rss_kib(), howdah.descriptors());
    let backends = whole_pool(&howdah, &database);

    visit(&howdah, &database, 10_000);
    assert_eq!(witness.value("select 'still here'"), "still here");
    let after = howdah.rss_kib();
    print(&format!("resident: {memory} KiB after 1,000 visits, {after} KiB after 10,000 more"));
    assert!(after < memory + 2048, "{memory} KiB before, {after} KiB after");
    assert_eq!(howdah.descriptors(), descriptors);
    assert_eq!(whole_pool(&howdah, &database).len(), backends.len());
}

/// How far a client comes before it leaves.
#[derive(Clone, Copy, Debug)]
enum Step {
    Connected,
    HalfAStartupPacket,
    AskedForEncryption,
    StartedUp,
    LoggedIn,
    HalfAQuery,
    InTransaction,
    MidQuery,
    MidAnswer,
    MidCopy,
    MidBatch,
    SaidGoodbye,
}

impl Step {
    const ALL: [Step; 12] = [
        Step::Connected,
        Step::HalfAStartupPacket,
        Step::AskedForEncryption,
        Step::StartedUp,
        Step::LoggedIn,
        Step::HalfAQuery,
        Step::InTransaction,
        Step::MidQuery,
        Step::MidAnswer,
        Step::MidCopy,
        Step::MidBatch,
        Step::SaidGoodbye,
    ];

    fn take(self, mut client: RawClient, database: &Database) {
        let startup = message::startup(&[("user", "postgres"), ("database", database.name())]);
        match self {
            Step::Connected => return,
            Step::HalfAStartupPacket => return client.send(&startup[..startup.len() / 2]),
            Step::AskedForEncryption => {
                client.send(&message::ssl_request());
                client.read_byte();
                return;
            }
            Step::StartedUp => return client.send(&startup),
            _ => drop(client.login(database.name(), "postgres")),
        }
        let query = message::query("select pg_sleep(600)");
        match self {
            Step::HalfAQuery => client.send(&query[..query.len() / 2]),
            Step::InTransaction => drop(client.query("begin")),
            Step::MidQuery => client.send(&query),
            Step::MidAnswer => {
                client.send(&message::query("select generate_series(1, 1000000)"));
                client.read();
            }
            Step::MidCopy => {
                client.send(&message::query("copy pg_temp.nowhere from stdin; copy nowhere from stdin"));
                client.send(&message::copy_data(b"1\n"));
            }
            Step::MidBatch => client.send(&message::parse("s", "select 1")),
            Step::SaidGoodbye => client.send(&message::terminate()),
            _ => {}
        }
    }
}

/// So many clients come and leave, some at a time, through both doors; then waits until they have been dealt with.
fn visit(howdah: &Howdah, database: &Database, times: usize) {
    thread::scope(|scope| {
        for thread in 0..THREADS {
            scope.spawn(move || {
                for turn in 0..times / THREADS {
                    let unix = (turn / Step::ALL.len() + thread).is_multiple_of(2);
                    let client = if unix { RawClient::unix(&howdah.socket_path()) } else { howdah.raw() };
                    Step::ALL[turn % Step::ALL.len()].take(client, database);
                }
            });
        }
    });
    eventually("all have been dealt with", || {
        let lists = howdah.show("LISTS");
        let items = |name| lists.iter().find(|row| row.get("list") == name).map(|row| row.number("items"));
        let pool = howdah.pool(database)?;
        let none = ["cl_waiting", "sv_active", "sv_tested", "sv_login"]
            .iter()
            .all(|column| pool.number(column) == 0);
        (none && items("login_clients") == Some(0) && pool.number("cl_active") == 1).then_some(())
    });
}

/// The backends of the pool, all of which can be had at the same time.
fn whole_pool(howdah: &Howdah, database: &Database) -> Vec<String> {
    let mut clients: Vec<RawClient> = (0..SIZE).map(|_| howdah.client(database)).collect();
    for client in &mut clients {
        client.run("begin");
    }
    let mut backends: Vec<String> = clients.iter_mut().map(RawClient::backend).collect();
    clients.iter_mut().for_each(|client| drop(client.run("commit")));
    backends.sort();
    backends.dedup();
    assert_eq!(backends.len(), SIZE);
    assert_eq!(database.backends(), SIZE);
    backends
}

#[expect(clippy::print_stdout, reason = "shown with --nocapture: what fleeting clients cost")]
fn print(fact: &str) {
    println!("{fact}");
}

const SIZE: usize = 5;
const THREADS: usize = 8;
