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
    database.psql("create table t (n int)");
    let mut witness = howdah.client(&database);
    // The first of them make buffers and maps as large as they get.
    visit(&howdah, &database, 1000);
    whole_pool(&howdah, &database);
    settled(&howdah, &database);
    // The console's last visitor has gone, too.
    howdah.wait_for_rest();
    let (memory, descriptors) = (howdah.rss_kib(), howdah.descriptors());

    visit(&howdah, &database, 10_000);
    settled(&howdah, &database);
    let after = howdah.rss_kib();
    print(&format!("resident: {memory} KiB after 1,000 visits, {after} KiB after 10,000 more"));
    assert!(after < memory + 2048, "{memory} KiB before, {after} KiB after");
    assert_eq!(witness.value("select count(*) from t"), "0");
    // As many server connections are open as before: some may have been closed.
    whole_pool(&howdah, &database);
    settled(&howdah, &database);
    eventually("no descriptor is left", || (howdah.descriptors() == descriptors).then_some(()));
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
            Step::InTransaction => drop(client.query("begin; insert into t values (1)")),
            Step::MidQuery => client.send(&query),
            Step::MidAnswer => {
                client.send(&message::query("select generate_series(1, 1000000)"));
                client.read();
            }
            Step::MidCopy => {
                client.send(&message::query("copy t from stdin"));
                client.expect(b'G');
                client.send(&message::copy_data(b"1\n"));
            }
            Step::MidBatch => client.send(&message::parse("s", "select 1")),
            Step::SaidGoodbye => client.send(&message::terminate()),
            _ => {}
        }
    }
}

/// So many clients come and leave, some at a time, through both doors.
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
}

/// Waits until nothing is left to do for anybody who has gone; the witness is still there.
fn settled(howdah: &Howdah, database: &Database) {
    eventually("all have been dealt with", || {
        let lists = howdah.show("LISTS");
        let at_the_door = lists.iter().find(|row| row.get("list") == "login_clients")?.number("items");
        let pool = howdah.pool(database)?;
        let busy = ["cl_waiting", "sv_active", "sv_tested", "sv_login"];
        let idle = busy.iter().all(|column| pool.number(column) == 0);
        (idle && at_the_door == 0 && pool.number("cl_active") == 1).then_some(())
    });
}

/// As many transactions as the pool has connections are carried out at the same time, and no more are open.
fn whole_pool(howdah: &Howdah, database: &Database) {
    let mut clients: Vec<RawClient> = (0..SIZE).map(|_| howdah.client(database)).collect();
    for client in &mut clients {
        client.run("begin");
    }
    let mut backends: Vec<String> = clients.iter_mut().map(RawClient::backend).collect();
    backends.sort();
    backends.dedup();
    assert_eq!((backends.len(), database.backends()), (SIZE, SIZE));
    clients.iter_mut().for_each(|client| drop(client.run("commit")));
}

#[expect(clippy::print_stdout, reason = "shown with --nocapture: what fleeting clients cost")]
fn print(fact: &str) {
    println!("{fact}");
}

const SIZE: usize = 5;
const THREADS: usize = 8;
