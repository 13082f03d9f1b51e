//! Many messages at once: each is answered in its place, and errors reach as far as PostgreSQL lets them.

use howdah_tests::{Database, Howdah, Message, RawClient, message, tags};

#[test]
fn simple_queries_sent_together_are_answered_in_order() {
    for (database, howdah) in both_modes() {
        let (mut client, _other) = (howdah.client(&database), howdah.client(&database));
        let queries: Vec<_> = (0..500).map(|n| message::query(&format!("select {n}"))).collect();
        client.send(&queries.concat());
        for n in 0..500 {
            let answer = client.read_until_ready();
            assert_eq!(answer[1].columns(), [Some(n.to_string())]);
        }
    }
}

#[test]
fn batches_sent_together_are_answered_in_order() {
    for (database, howdah) in both_modes() {
        let mut client = howdah.client(&database);
        let batches: Vec<_> = (0..500).map(|n| batch(&format!("select {n}"))).collect();
        client.send(&batches.concat());
        for n in 0..500 {
            let answer = client.read_until_ready();
            assert_eq!(tags(&answer), "12DCZ");
            assert_eq!(answer[2].columns(), [Some(n.to_string())]);
        }
    }
}

#[test]
fn an_error_skips_to_the_sync_and_no_further() {
    for (database, howdah) in both_modes() {
        let mut client = howdah.client(&database);
        let run = |sql: &str| {
            [message::parse("", sql), message::bind("", "", &[]), message::execute("", 0)].concat()
        };
        client.send(&[run("select 1"), run("select 1/0"), run("select 2"), message::sync()].concat());
        client.send(&[batch("select 3"), message::query("select 4")].concat());
        // PostgreSQL divides when it binds.
        assert_eq!(tags(&client.read_until_ready()), "12DC1EZ");
        assert_eq!(tags(&client.read_until_ready()), "12DCZ");
        assert_eq!(tags(&client.read_until_ready()), "TDCZ");
    }
}

#[test]
fn a_query_inside_a_failed_batch_is_skipped() {
    for (database, howdah) in both_modes() {
        let mut client = howdah.client(&database);
        client.send(&[message::parse("", "selekt"), message::query("select 1"), message::sync()].concat());
        assert_eq!(tags(&client.read_until_ready()), "EZ");
        assert_eq!(client.value("select 5"), "5");
    }
}

#[test]
fn flush_brings_answers_without_an_end() {
    for (database, howdah) in both_modes() {
        let mut client = howdah.client(&database);
        client.send(&[message::parse("", "select 1"), message::flush()].concat());
        client.expect(b'1');
        client.send(&[message::bind("", "", &[]), message::describe(b'P', ""), message::flush()].concat());
        assert_eq!(tags(&[client.read(), client.read()]), "2T");
        client.send(&[message::execute("", 0), message::sync()].concat());
        assert_eq!(tags(&client.read_until_ready()), "DCZ");
    }
}

#[test]
fn a_portal_is_read_in_parts() {
    for (database, howdah) in both_modes() {
        let mut client = howdah.client(&database);
        client.send(
            &[message::parse("", "select generate_series(1, 5)"), message::bind("p", "", &[])].concat(),
        );
        for _ in 0..3 {
            client.send(&message::execute("p", 2));
        }
        client.send(&[message::close(b'P', "p"), message::sync()].concat());
        assert_eq!(tags(&client.read_until_ready()), "12DDsDDsDC3Z");
    }
}

#[test]
fn a_transaction_over_several_batches_stays_on_one_server_connection() {
    let database = Database::create();
    database.psql("create table t (n int)");
    let howdah = Howdah::before(&database, &[("pool_mode", "transaction"), ("default_pool_size", "3")]);
    let mut others: Vec<_> = (0..3).map(|_| howdah.client(&database)).collect();
    let mut client = howdah.client(&database);
    client.send(
        &[batch("begin"), batch("select pg_backend_pid()"), batch("insert into t values (1)")].concat(),
    );
    client
        .send(&[batch("select pg_backend_pid()"), batch("commit"), batch("select count(*) from t")].concat());
    for other in &mut others {
        other.run("select 1");
    }
    let answers: Vec<_> = (0..6).map(|_| client.read_until_ready()).collect();
    assert_eq!(row(&answers[1]), row(&answers[3]));
    assert_eq!(row(&answers[5]), "1");
    let status = |answer: &[Message]| answer.last().unwrap().body.clone();
    assert_eq!(
        (status(&answers[0]), status(&answers[3]), status(&answers[4])),
        (b"T".into(), b"T".into(), b"I".into())
    );
}

#[test]
fn clients_that_pipeline_share_a_small_pool_without_mixing_answers() {
    let database = Database::create();
    let howdah = Howdah::before(&database, &[("pool_mode", "transaction"), ("default_pool_size", "2")]);
    std::thread::scope(|scope| {
        for number in 0..8 {
            let mut client: RawClient = howdah.client(&database);
            scope.spawn(move || {
                for round in 0..20 {
                    let sql = |n| format!("select '{number}-{round}-{n}'");
                    let batches: Vec<_> = (0..10).map(|n| batch(&sql(n))).collect();
                    client.send(&batches.concat());
                    for n in 0..10 {
                        assert_eq!(row(&client.read_until_ready()), format!("{number}-{round}-{n}"));
                    }
                }
            });
        }
    });
}

/// A whole batch of the extended protocol.
fn batch(sql: &str) -> Vec<u8> {
    let run = [message::parse("", sql), message::bind("", "", &[]), message::execute("", 0)].concat();
    [run, message::sync()].concat()
}

fn row(answer: &[Message]) -> String {
    let row = answer.iter().find(|m| m.tag == b'D').unwrap_or_else(|| panic!("no row but {answer:?}"));
    row.columns().remove(0).unwrap()
}

fn both_modes() -> Vec<(Database, Howdah)> {
    ["session", "transaction"]
        .map(|mode| {
            let database = Database::create();
            let howdah = Howdah::before(&database, &[("pool_mode", mode)]);
            (database, howdah)
        })
        .into()
}
