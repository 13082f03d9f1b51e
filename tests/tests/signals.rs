//! Signals mean what they mean to PgBouncer, and the process leaves nothing behind.

use std::net::{TcpListener, TcpStream};

use howdah_tests::{Database, Howdah, Signal, eventually, message, only_error};

const TRANSACTION: [(&str, &str); 1] = [("pool_mode", "transaction")];

#[test]
fn term_waits_for_clients() {
    let database = Database::create();
    let mut howdah = Howdah::before(&database, &TRANSACTION);
    let mut client = howdah.client(&database);
    howdah.signal(Signal::TERM);
    eventually("the TCP door is closed", || TcpStream::connect(howdah.address()).err());
    eventually("the socket file is gone", || (!howdah.socket_path().exists()).then_some(()));
    assert_eq!(client.value("select 1"), "1");
    client.run("begin");
    client.run("commit");
    assert!(howdah.is_running());
    client.send(&message::terminate());
    assert_eq!(howdah.wait_for_exit().code(), Some(0));
}

#[test]
fn a_second_term_ends_it_at_once() {
    let database = Database::create();
    let mut howdah = Howdah::before(&database, &TRANSACTION);
    let mut client = howdah.client(&database);
    client.run("begin");
    howdah.signal(Signal::TERM);
    howdah.wait_for_log("stopping when the last client has left");
    howdah.signal(Signal::TERM);
    assert_eq!(only_error(&client.read_to_end()).0, "57P01");
    assert_eq!(howdah.wait_for_exit().code(), Some(0));
    assert!(!howdah.socket_path().exists());
}

#[test]
fn without_clients_term_ends_it_at_once() {
    let mut howdah = Howdah::before(&Database::create(), &TRANSACTION);
    howdah.signal(Signal::TERM);
    assert_eq!(howdah.wait_for_exit().code(), Some(0));
}

#[test]
fn int_waits_for_transactions_only() {
    let database = Database::create();
    let mut howdah = Howdah::before(&database, &TRANSACTION);
    let (mut busy, mut idle) = (howdah.client(&database), howdah.client(&database));
    busy.run("create table t (n int)");
    busy.run("begin");
    howdah.signal(Signal::INT);
    eventually("the TCP door is closed", || TcpStream::connect(howdah.address()).err());
    busy.run("insert into t values (1)");
    assert!(howdah.is_running());
    busy.run("commit");
    for client in [&mut busy, &mut idle] {
        assert_eq!(only_error(&client.read_to_end()).0, "57P01");
    }
    assert_eq!(howdah.wait_for_exit().code(), Some(0));
    assert_eq!(database.psql("select count(*) from t"), "1");
}

#[test]
fn quit_waits_for_nobody_and_rolls_back() {
    let database = Database::create();
    let mut howdah = Howdah::before(&database, &TRANSACTION);
    let mut client = howdah.client(&database);
    client.run("create table t (n int)");
    client.run("begin; insert into t values (1)");
    howdah.signal(Signal::QUIT);
    assert_eq!(only_error(&client.read_to_end()).0, "57P01");
    assert_eq!(howdah.wait_for_exit().code(), Some(0));
    assert!(!howdah.socket_path().exists());
    assert_eq!(database.psql("select count(*) from t"), "0");
    eventually("no backend is left behind", || (database.backends() == 0).then_some(()));
}

#[test]
fn usr1_pauses_and_usr2_resumes() {
    let database = Database::create();
    let howdah = Howdah::before(&database, &TRANSACTION);
    let mut client = howdah.client(&database);
    assert_eq!(client.value("select 1"), "1");
    howdah.signal(Signal::USR1);
    howdah.wait_for_log("SIGUSR1 done");
    eventually("server connections are closed", || (database.backends() == 0).then_some(()));
    client.send(&message::query("select 'resumed'"));
    eventually("the query is held", || (howdah.pool(&database)?.number("cl_waiting") == 1).then_some(()));
    howdah.signal(Signal::USR2);
    assert_eq!(client.read_until_ready()[1].columns(), [Some("resumed".to_owned())]);
}

#[test]
fn term_during_pause_still_ends_it_when_the_clients_leave() {
    let database = Database::create();
    let mut howdah = Howdah::before(&database, &TRANSACTION);
    let mut client = howdah.client(&database);
    howdah.signal(Signal::USR1);
    howdah.wait_for_log("SIGUSR1 done");
    howdah.signal(Signal::TERM);
    howdah.wait_for_log("shutting down");
    client.send(&message::terminate());
    assert_eq!(howdah.wait_for_exit().code(), Some(0));
}

#[test]
fn the_pid_file_names_it_while_it_runs() {
    let dir = tempfile::tempdir_in("/tmp").unwrap();
    let pidfile = dir.path().join("howdah.pid");
    let database = Database::create();
    let mut howdah = Howdah::before(&database, &[("pidfile", pidfile.to_str().unwrap())]);
    assert_eq!(std::fs::read_to_string(&pidfile).unwrap(), format!("{}\n", howdah.pid()));
    let second = Howdah::builder()
        .database(database.name(), &database.server())
        .setting("pidfile", pidfile.display())
        .try_start()
        .err()
        .unwrap();
    assert_eq!(second.status.code(), Some(1));
    assert!(second.log.contains(&format!("process {}, which is running", howdah.pid())), "{}", second.log);
    howdah.signal(Signal::TERM);
    howdah.wait_for_exit();
    assert!(!pidfile.exists());
}

#[test]
fn a_port_in_use_is_named_and_nothing_is_left() {
    let database = Database::create();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let dir = tempfile::tempdir_in("/tmp").unwrap();
    let ini = dir.path().join("pgbouncer.ini");
    let text = format!(
        "[databases]\napp = {}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
         unix_socket_dir = {dir}\npidfile = {dir}/pid\nauth_type = any\n",
        database.server(),
        dir = dir.path().display()
    );
    std::fs::write(&ini, text).unwrap();
    let output = howdah_tests::howdah_command().arg(&ini).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(&format!("127.0.0.1:{port}")) && said.contains("in use"), "{said}");
    let left: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert_eq!(left, ["pgbouncer.ini"]);
}

#[test]
fn a_socket_file_left_by_a_dead_process_is_replaced_and_a_live_one_is_not() {
    let database = Database::create();
    let dir = tempfile::tempdir_in("/tmp").unwrap();
    let socket = dir.path().join(".s.PGSQL.7777");
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    assert!(socket.exists(), "a dead socket's file stays");
    let ini = dir.path().join("pgbouncer.ini");
    let text = format!(
        "[databases]\napp = {} user=postgres\n[pgbouncer]\nlisten_port = 7777\nunix_socket_dir = {}\nauth_type = any\n",
        database.server(),
        dir.path().display()
    );
    std::fs::write(&ini, text).unwrap();
    let mut first =
        howdah_tests::howdah_command().arg(&ini).stderr(std::process::Stdio::null()).spawn().unwrap();
    let conninfo = format!("host={} port=7777 dbname=app user=x", dir.path().display());
    eventually("it serves", || howdah_tests::psql(&conninfo, "select 1").ok());
    let output = howdah_tests::howdah_command().arg(&ini).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("in use"), "{said}");
    assert_eq!(howdah_tests::psql(&conninfo, "select 1").unwrap(), "1");
    first.kill().unwrap();
    first.wait().unwrap();
}
