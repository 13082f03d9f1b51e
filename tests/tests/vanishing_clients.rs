//! A client goes without a goodbye: nothing of it is left behind, and the server connection serves the next one.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use howdah_tests::fake_server::{FakeServer, echo_of, error, ready};
use howdah_tests::{Database, Howdah, RawClient, eventually, message, only_error, postgres, tags};

const POOL_OF_ONE: [(&str, &str); 2] = [("pool_mode", "transaction"), ("default_pool_size", "1")];

#[test]
fn a_lock_held_by_a_client_that_is_killed_is_free_within_a_second() {
    let database = Database::create();
    database.psql("create table t as select 1 as n");
    for mode in ["transaction", "session"] {
        let howdah = Howdah::before(&database, &[("pool_mode", mode), ("default_pool_size", "2")]);
        let mut next = howdah.client(&database);
        next.run("select 1");
        let mut victim = psql_that_holds_a_lock(&howdah, &database);
        let backend = eventually("it holds the lock", || {
            let holder = database.psql(
                "select pid from pg_locks join pg_stat_activity using (pid)
                 where relation = 't'::regclass and mode = 'RowExclusiveLock' and state = 'idle in transaction'",
            );
            (!holder.is_empty()).then_some(holder)
        });
        next.send(&message::query("update t set n = n + 10"));
        eventually("the next one waits for the lock", || {
            let waiting = "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()";
            (database.psql(waiting) == "1").then_some(())
        });
        let killed = Instant::now();
        victim.kill().unwrap();
        victim.wait().unwrap();
        assert_eq!(tags(&next.read_until_ready()), "CZ");
        assert!(killed.elapsed() < Duration::from_secs(1), "after {:?}", killed.elapsed());
        // The backend that served the victim serves on.
        eventually("it is clean", || (howdah.pool(&database)?.number("sv_tested") == 0).then_some(()));
        let alive = database.psql(&format!("select state from pg_stat_activity where pid = {backend}"));
        assert_eq!(alive, "idle", "{mode} mode");
        database.psql("update t set n = 1");
    }
}

#[test]
fn the_next_client_gets_the_same_backend_with_nothing_left_on_it() {
    let database = Database::create();
    database.psql("create table t (n int)");
    let howdah = Howdah::before(&database, &POOL_OF_ONE);
    for unread in [false, true] {
        let mut victim = howdah.client(&database);
        let backend = victim.backend();
        victim.run("begin");
        victim.run("insert into t values (1)");
        if unread {
            // Closing with an answer unread makes a reset of it.
            victim.send(&message::query("select generate_series(1, 100000)"));
            victim.read();
        }
        drop(victim);
        let mut next = howdah.client(&database);
        assert_eq!(next.backend(), backend);
        assert_eq!(next.value("select count(*) from t"), "0");
    }
}

#[test]
fn what_it_left_running_is_cancelled() {
    let database = Database::create();
    let howdah = Howdah::before(&database, &POOL_OF_ONE);
    for extended in [false, true] {
        let mut victim = howdah.client(&database);
        let backend = victim.backend();
        if extended {
            victim.send(&message::parse("", "select pg_sleep(600)"));
            victim.send(&[message::bind("", "", &[]), message::execute("", 0), message::sync()].concat());
        } else {
            victim.send(&message::query("select pg_sleep(600)"));
        }
        sleeping(&database);
        drop(victim);
        assert_eq!(howdah.client(&database).backend(), backend);
    }
}

#[test]
fn a_cancel_request_that_came_before_the_query_began_is_repeated() {
    // PostgreSQL ignores the first one where its backend is slower than its postmaster.
    let server = FakeServer::start(|mut connection, _| {
        connection.welcome();
        while let Some(query) = connection.next_query() {
            if query == "select pg_sleep(600)" {
                connection.wait_for_cancels(3);
                let canceled = [(b'S', "ERROR"), (b'C', "57014"), (b'M', "canceled")];
                connection.send(&[error(&canceled), ready(b'I')].concat());
            } else {
                connection.send(&echo_of(&query));
            }
        }
    });
    let settings = Howdah::builder().setting("pool_mode", "transaction").setting("default_pool_size", 1);
    let howdah = settings.database("fake", &server.entry()).start();
    let mut victim = howdah.raw();
    victim.login("fake", "postgres");
    victim.send(&message::query("select pg_sleep(600)"));
    eventually("the server connection is its", || {
        howdah.show("POOLS").iter().any(|pool| pool.number("sv_active") == 1).then_some(())
    });
    drop(victim);
    let mut next = howdah.raw();
    next.login("fake", "postgres");
    assert_eq!(next.value("select 'served'"), "select 'served'");
    assert_eq!(server.connections(), 1);
}

#[test]
fn a_commit_on_its_way_is_never_cancelled() {
    let database = Database::create();
    database.psql(
        "create table t (n int);
         create function slowly() returns trigger language plpgsql as $$begin perform pg_sleep(0.5); return null; end$$;
         create constraint trigger slow after insert on t deferrable initially deferred
         for each row execute function slowly()",
    );
    for mode in ["transaction", "session"] {
        let howdah = Howdah::before(&database, &[("pool_mode", mode), ("default_pool_size", "1")]);
        for how in ["simple", "together", "extended"] {
            database.psql("truncate t");
            let mut victim = howdah.client(&database);
            match how {
                "simple" => {
                    victim.run("begin");
                    victim.run("insert into t values (1)");
                    victim.send(&message::query("commit"));
                }
                "together" => victim.send(&message::query("begin; insert into t values (1); commit")),
                _ => {
                    victim.run("begin");
                    victim.run("insert into t values (1)");
                    victim.send(&message::parse("", "commit"));
                    victim.send(&[message::bind("", "", &[]), message::execute("", 0)].concat());
                    victim.send(&message::sync());
                }
            }
            sleeping(&database);
            drop(victim);
            let mut next = howdah.client(&database);
            assert_eq!(next.value("select count(*) from t"), "1", "{how}, {mode} mode");
        }
    }
}

#[test]
fn a_copy_it_left_open_fails() {
    let database = Database::create();
    database.psql("create table t (n int)");
    let howdah = Howdah::before(&database, &POOL_OF_ONE);
    let mut victim = howdah.client(&database);
    let backend = victim.backend();
    victim.send(&message::query("copy t from stdin"));
    victim.expect(b'G');
    victim.send(&message::copy_data(b"1\n2\n"));
    drop(victim);
    let mut next = howdah.client(&database);
    assert_eq!(next.backend(), backend);
    assert_eq!(next.value("select count(*) from t"), "0");
}

#[test]
fn a_copy_to_it_is_cancelled() {
    let database = Database::create();
    let howdah = Howdah::before(&database, &POOL_OF_ONE);
    let mut victim = howdah.client(&database);
    let backend = victim.backend();
    victim.send(&message::query("copy (select generate_series(1, 1000000000)) to stdout"));
    victim.expect(b'H');
    victim.expect(b'd');
    drop(victim);
    assert_eq!(howdah.client(&database).backend(), backend);
}

#[test]
fn half_a_message_closes_the_server_connection() {
    let database = Database::create();
    database.psql("create table t (n int)");
    let howdah = Howdah::before(&database, &POOL_OF_ONE);
    let mut victim = howdah.client(&database);
    let backend = victim.backend();
    victim.run("begin");
    victim.run("insert into t values (1)");
    let query = message::query(&format!("select '{}'", "x".repeat(3_000_000)));
    victim.send(&query[..2_000_000]);
    // Longer than what is looked at as a whole, it is forwarded as it comes: then PostgreSQL reads the rest of it.
    eventually("the half has arrived", || {
        let reading = "select count(*) from pg_stat_activity where wait_event = 'ClientRead' and state = 'idle in transaction'";
        (howdah.pool(&database)?.number("sv_active") == 1 && database.psql(reading) != "0").then_some(())
    });
    drop(victim);
    let mut next = howdah.client(&database);
    assert_ne!(next.backend(), backend);
    assert_eq!(next.value("select count(*) from t"), "0");
}

#[test]
fn an_open_batch_is_closed() {
    let database = Database::create();
    database.psql("create table t (n int)");
    let howdah = Howdah::before(&database, &POOL_OF_ONE);
    let mut victim = howdah.client(&database);
    let backend = victim.backend();
    // Neither Sync nor Flush: nothing is answered, and the transaction stays open.
    victim.send(&message::parse("", "insert into t values (1)"));
    victim.send(&[message::bind("", "", &[]), message::execute("", 0)].concat());
    eventually("the server connection is its", || {
        (howdah.pool(&database)?.number("sv_active") == 1).then_some(())
    });
    drop(victim);
    let mut next = howdah.client(&database);
    assert_eq!(next.backend(), backend);
    assert_eq!(next.value("select count(*) from t where n = 1"), "0", "what was not synced is rolled back");
}

#[test]
fn a_goodbye_in_the_middle_of_a_batch_or_copy_holds_up_nobody() {
    let database = Database::create();
    database.psql("create table t (n int)");
    let howdah = Howdah::before(&database, &POOL_OF_ONE);
    let batch = [message::parse("", "insert into t values (1)"), message::bind("", "", &[])].concat();
    for last in [[batch, message::execute("", 0)].concat(), message::query("copy t from stdin")] {
        let mut client = howdah.client(&database);
        let backend = client.backend();
        client.send(&last);
        if last[0] == b'Q' {
            client.expect(b'G');
        }
        client.send(&message::terminate());
        client.read_to_end();
        let mut next = howdah.client(&database);
        assert_eq!(next.backend(), backend);
        assert_eq!(next.value("select count(*) from t"), "0");
    }
}

#[test]
fn a_query_before_an_orderly_goodbye_finishes() {
    let database = Database::create();
    database.psql("create table t (n int)");
    let howdah = Howdah::before(&database, &POOL_OF_ONE);
    let mut client = howdah.client(&database);
    let backend = client.backend();
    let query = message::query("insert into t select 1 from pg_sleep(0.3)");
    client.send(&[query, message::terminate()].concat());
    drop(client);
    let mut next = howdah.client(&database);
    assert_eq!(next.backend(), backend);
    assert_eq!(next.value("select count(*) from t"), "1");
}

#[test]
fn a_query_before_an_orderly_goodbye_finishes_even_if_it_had_to_wait() {
    let database = Database::create();
    database.psql("create table t (n int)");
    let howdah = Howdah::before(&database, &POOL_OF_ONE);
    let (mut holder, mut client) = (howdah.client(&database), howdah.client(&database));
    holder.run("begin");
    client.send(&[message::query("insert into t values (1)"), message::terminate()].concat());
    waiting(&howdah, &database, 1);
    drop(client);
    holder.run("commit");
    eventually("it has been carried out", || (holder.value("select count(*) from t") == "1").then_some(()));
}

#[test]
fn who_vanishes_from_the_line_is_not_served() {
    let database = Database::create();
    database.psql("create table t (n int)");
    let howdah = Howdah::before(&database, &POOL_OF_ONE);
    let (mut holder, mut victim) = (howdah.client(&database), howdah.client(&database));
    holder.run("begin");
    victim.send(&message::query("insert into t values (1)"));
    waiting(&howdah, &database, 1);
    drop(victim);
    waiting(&howdah, &database, 0);
    holder.run("commit");
    assert_eq!(holder.value("select count(*) from t"), "0");
}

#[test]
fn a_server_that_cannot_be_rolled_back_is_replaced() {
    let database = Database::create();
    let howdah = Howdah::before(&database, &POOL_OF_ONE);
    let mut victim = howdah.client(&database);
    let backend = victim.backend();
    victim.run("begin");
    postgres().psql(&format!("select pg_terminate_backend({backend})")).unwrap();
    assert_eq!(only_error(&victim.read_to_end()).0, "57P01");
    assert_ne!(howdah.client(&database).backend(), backend);
}

#[test]
fn nobody_ever_finds_what_it_has_set() {
    let database = Database::create();
    let howdah = Howdah::before(&database, &POOL_OF_ONE);
    for (sets, runs) in [
        ("set work_mem = '77kB'", false),
        ("set timezone = 'Asia/Tokyo'", false),
        ("set role pg_monitor", false),
        ("set app.who = 'victim'", false),
        ("begin; set work_mem = '77kB'; commit; begin", false),
        ("do $$ begin perform set_config('work_mem', '77kB', false); end $$", false),
        ("prepare p as select 1; listen c; set work_mem = '77kB'", false),
        ("set work_mem = '77kB'", true),
        ("set work_mem = '77kB'; set role pg_monitor; set app.who = 'victim'", true),
    ] {
        for rounds in 0..5 {
            let mut victim = howdah.client(&database);
            let backend = victim.backend();
            let mut asks = message::query(sets);
            if runs {
                asks.extend(message::query("select pg_sleep(600)"));
            }
            victim.send(&asks);
            if runs {
                sleeping(&database);
            }
            // Every second time its answer has come.
            if rounds % 2 == 0 {
                assert!(victim.read_until_ready().iter().all(|it| it.tag != b'E'), "{sets}");
            }
            drop(victim);
            let mut next = howdah.client(&database);
            assert_eq!(next.value(SESSION), "4MB Etc/UTC postgres 0 0", "{sets}");
            assert_eq!(next.backend(), backend, "{sets}");
        }
    }
}

/// What Howdah asks about the session after it is no affair of the client's: it is answered, not cancelled.
#[test]
fn the_question_what_it_has_set_is_answered_when_it_is_gone() {
    let database = Database::create();
    let howdah = Howdah::before(&database, &POOL_OF_ONE);
    for more in ["", "select 1"] {
        let mut victim = howdah.client(&database);
        let backend = victim.backend();
        let mut locker = database.direct();
        // The question reads it.
        locker.run("begin");
        locker.run("lock table pg_catalog.pg_depend");
        victim.query("begin; set work_mem = '77kB'; commit; select from pg_temp.nothing");
        eventually("it is asked", || {
            let waiting =
                "select count(*) from pg_locks where not granted and relation = 'pg_depend'::regclass";
            (locker.value(waiting) == "1").then_some(())
        });
        if !more.is_empty() {
            victim.send(&message::query(more));
        }
        drop(victim);
        eventually("it has been missed", || (howdah.pool(&database)?.number("sv_tested") == 1).then_some(()));
        locker.run("commit");
        let mut next = howdah.client(&database);
        assert_eq!(next.value(SESSION), "4MB Etc/UTC postgres 0 0", "{more}");
        assert_eq!(next.backend(), backend, "{more}");
    }
}

const SESSION: &str = "select concat_ws(' ', current_setting('work_mem'), current_setting('timezone'), \
    current_user, length(coalesce(current_setting('app.who', true), '')), \
    (select count(*) from pg_prepared_statements where from_sql))";

/// A psql that has updated `t` in a transaction and then waits for ever.
fn psql_that_holds_a_lock(howdah: &Howdah, database: &Database) -> Child {
    let mut command = Command::new(postgres().binaries().program("psql"));
    command.args(["-Xq", "-d", &howdah.conninfo(database.name(), "postgres")]);
    command.args(["-c", "begin", "-c", "update t set n = 2", "-c", "\\! cat"]);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap()
}

/// Waits until a query of this database is in pg_sleep.
fn sleeping(database: &Database) {
    let mut direct: RawClient = database.direct();
    let count =
        "select count(*) from pg_stat_activity where wait_event = 'PgSleep' and datname = current_database()";
    eventually("it sleeps", || (direct.value(count) == "1").then_some(()));
}

fn waiting(howdah: &Howdah, database: &Database, expected: u64) {
    eventually("so many wait", || (howdah.pool(database)?.number("cl_waiting") == expected).then_some(()));
}
