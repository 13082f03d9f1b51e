//! A private PostgreSQL starts, serves, restarts and leaves nothing behind.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use howdah_embedded::{Binaries, Cluster, EmbeddedError, StopMode};

#[test]
fn a_cluster_serves_with_the_settings_asked_for_and_vanishes() {
    let cluster = Cluster::builder()
        .setting("max_connections", 37)
        .setting("cluster_name", r"o'clo\ck")
        .password_encryption("md5")
        .hba("local all eve reject")
        .start()
        .unwrap();
    assert_eq!(cluster.psql("show max_connections").unwrap(), "37");
    assert_eq!(cluster.psql("show cluster_name").unwrap(), r"o'clo\ck");
    assert_eq!(
        cluster
            .psql("create role x password 'y'; select left(rolpassword, 3) from pg_authid where rolname='x'")
            .unwrap(),
        "md5"
    );
    assert_eq!(cluster.psql("select current_user, 1").unwrap(), "postgres|1");
    assert!(std::net::TcpStream::connect(cluster.address()).is_ok());
    assert!(cluster.socket_path().as_os_str().len() <= 103);
    let home = cluster.socket_dir().to_owned();
    let pid = cluster.pid().unwrap();
    drop(cluster);
    assert!(!home.exists());
    assert!(!is_running(pid));
}

#[test]
fn a_failing_statement_is_an_error_with_the_servers_words() {
    let cluster = Cluster::builder().tcp(false).one_off().start().unwrap();
    assert!(std::net::TcpStream::connect(cluster.address()).is_err());
    let error = cluster.psql("select no_such_column").unwrap_err().to_string();
    assert!(error.contains("no_such_column"), "{error}");
    assert!(cluster.log().contains("no_such_column"));
}

#[test]
fn a_setting_that_is_wrong_shows_the_servers_log() {
    let error = Cluster::builder().setting("no_such_setting", 1).start().unwrap_err().to_string();
    assert!(error.contains("unrecognized configuration parameter \"no_such_setting\""), "{error}");
}

#[test]
fn restart_keeps_port_and_rows() {
    let cluster = Cluster::start().unwrap();
    cluster.psql("create table t as select 7 as n").unwrap();
    let before = (cluster.port(), cluster.pid().unwrap());
    cluster.restart().unwrap();
    assert_eq!(cluster.psql("select n from t").unwrap(), "7");
    assert_eq!(cluster.port(), before.0);
    assert_ne!(cluster.pid().unwrap(), before.1);
    cluster.stop(StopMode::Immediate).unwrap();
    cluster.stop(StopMode::Immediate).unwrap();
    assert_eq!(cluster.pid(), None);
    cluster.restart().unwrap();
    assert_eq!(cluster.psql("select n from t").unwrap(), "7");
}

#[test]
fn only_backends_of_this_server_can_be_terminated() {
    let cluster = Cluster::start().unwrap();
    let mut sleeper = Command::new(cluster.binaries().program("psql"))
        .args(["-Xd", &cluster.conninfo(), "-c", "select pg_sleep(600)"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let pid = loop {
        let found =
            cluster.psql("select pid from pg_stat_activity where query = 'select pg_sleep(600)'").unwrap();
        if let Ok(pid) = found.parse() {
            break pid;
        }
    };
    let own = i32::try_from(std::process::id()).unwrap();
    assert!(matches!(cluster.kill_backend(own), Err(EmbeddedError::NoSuchBackend(_))));
    cluster.terminate_backend(pid).unwrap();
    let said = BufReader::new(sleeper.stderr.take().unwrap()).lines().next().unwrap().unwrap();
    assert!(said.contains("terminating connection due to administrator command"), "{said}");
    assert!(!sleeper.wait().unwrap().success());
}

#[test]
fn many_at_once_get_ports_of_their_own() {
    let starts: Vec<_> = (0..4).map(|_| std::thread::spawn(|| Cluster::start().unwrap())).collect();
    let clusters: Vec<_> = starts.into_iter().map(|start| start.join().unwrap()).collect();
    for cluster in &clusters {
        assert_eq!(cluster.psql("show port").unwrap(), cluster.port().to_string());
    }
}

/// The test runs itself once more in a child whose `HOWDAH_PG_BIN` names an empty folder.
#[test]
fn a_wrong_howdah_pg_bin_is_an_error_and_not_a_search_elsewhere() {
    if std::env::var_os("HOWDAH_PG_BIN").is_some_and(|dir| dir == EMPTY) {
        let refusal = Binaries::find().unwrap_err();
        assert!(matches!(refusal, EmbeddedError::WrongFolder { missing: "initdb", .. }), "{refusal}");
        return;
    }
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_wrong_howdah_pg_bin_is_an_error_and_not_a_search_elsewhere"])
        .env("HOWDAH_PG_BIN", EMPTY)
        .output()
        .unwrap();
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stdout));
}

/// The test runs itself once more in a child that starts a cluster and is killed.
#[test]
fn a_killed_owner_leaves_nothing_behind() {
    if std::env::var_os(CHILD).is_some() {
        let cluster = Cluster::start().unwrap();
        let words = format!("\n{CHILD} {} {}\n", cluster.pid().unwrap(), cluster.socket_dir().display());
        std::io::Write::write_all(&mut std::io::stdout(), words.as_bytes()).unwrap();
        std::mem::forget(cluster);
        std::thread::park();
    }
    let mut owner = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_killed_owner_leaves_nothing_behind", "--nocapture"])
        .env(CHILD, "1")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let line = BufReader::new(owner.stdout.take().unwrap())
        .lines()
        .find_map(|line| line.unwrap().strip_prefix(CHILD).map(str::to_owned))
        .unwrap();
    let (pid, home) = line.trim().split_once(' ').unwrap();
    let (pid, home): (i32, PathBuf) = (pid.parse().unwrap(), home.into());
    assert!(is_running(pid) && home.exists());
    owner.kill().unwrap();
    owner.wait().unwrap();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while is_running(pid) || home.exists() {
        assert!(std::time::Instant::now() < deadline, "{pid} still runs or {home:?} is still there");
        std::thread::park_timeout(std::time::Duration::from_millis(20));
    }
}

fn is_running(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with('Z'))
}

const CHILD: &str = "HOWDAH_TEST_CLUSTER_OWNER";
const EMPTY: &str = "/nonexistent";
