//! LISTEN on a hot standby: its own error, and nobody waits.

use howdah_embedded::Cluster;
use howdah_tests::{Howdah, RawClient, eventually, only_error, tags};

#[test]
fn a_standby_says_itself_that_it_cannot_listen() {
    let standby = standby();
    let howdah = before(&standby, "2");
    let script = [
        "select pg_is_in_recovery()",
        "listen news",
        "notify news",
        "select pg_notify('news', '')",
        "unlisten news",
        "unlisten *",
        "begin",
        "listen news",
        "select 1",
        "rollback",
        "begin; listen news; commit",
        "do 'begin listen news; end'",
        "select * from pg_listening_channels()",
        "discard all",
        "select 1",
    ];
    let play = |client: &mut RawClient| -> Vec<String> {
        let said = |sql: &str, client: &mut RawClient| {
            let answer = client.query(sql);
            let error = answer.iter().find(|message| message.tag == b'E');
            let error = error.map(|error| format!("{} {}", error.sqlstate(), error.text()));
            format!("{sql} => {} {}", tags(&answer), error.unwrap_or_default())
        };
        script.iter().map(|sql| said(sql, client)).collect()
    };
    let mut direct = RawClient::unix(&standby.socket_path());
    direct.login("postgres", "postgres");
    let expected = play(&mut direct);
    assert_eq!(expected[1], "listen news => EZ 25006 cannot execute LISTEN during recovery");
    // The second one finds a listener connection that has been refused before.
    for _ in 0..2 {
        assert_eq!(play(&mut client(&howdah)), expected);
    }
}

#[test]
fn on_a_standby_clients_that_want_to_listen_keep_nobody_waiting() {
    let standby = standby();
    let howdah = before(&standby, "1");
    let mut clients: Vec<_> = (0..5).map(|_| client(&howdah)).collect();
    let mut other = client(&howdah);
    for client in &mut clients {
        client.send(&howdah_tests::message::query("listen news"));
    }
    assert_eq!(other.value("select 1"), "1");
    for client in &mut clients {
        assert_eq!(only_error(&client.read_until_ready()).0, "25006");
        assert_eq!(client.value("select 1"), "1");
    }
}

#[test]
fn who_listens_after_the_promotion_hears() {
    let standby = standby();
    let howdah = before(&standby, "2");
    let (mut one, mut two) = (client(&howdah), client(&howdah));
    assert_eq!(only_error(&one.query("listen news")).0, "25006");
    assert_eq!(one.value("select pg_promote()"), "t");
    eventually("it is no standby any more", || {
        (two.value("select pg_is_in_recovery()") == "f").then_some(())
    });
    assert_eq!(tags(&one.query("listen news")), "CZ");
    two.run("notify news");
    one.expect(b'A');
}

/// A server in standby mode that accepts connections.
fn standby() -> Cluster {
    let cluster = Cluster::builder().start().expect("PostgreSQL is installed");
    std::fs::write(cluster.data_dir().join("standby.signal"), "").expect("the folder can be written to");
    cluster.restart().expect("it starts as a standby");
    cluster
}

fn before(standby: &Cluster, size: &str) -> Howdah {
    let server = format!("host={} port={}", standby.socket_dir().display(), standby.port());
    Howdah::builder()
        .database("postgres", &server)
        .setting("pool_mode", "transaction")
        .setting("default_pool_size", size)
        .start()
}

fn client(howdah: &Howdah) -> RawClient {
    let mut client = howdah.raw();
    client.login("postgres", "postgres");
    client
}
