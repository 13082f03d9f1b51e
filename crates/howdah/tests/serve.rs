//! `howdah serve` as a process: its doors, its signals, its files, and what another Howdah makes of them. No
//! PostgreSQL is needed for that.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::time::Duration;

use howdah_embedded::free_port;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

#[test]
fn says_where_it_listens_and_leaves_no_pid_file() {
    let mut howdah = Serving::start("pidfile = {dir}/pid\n");
    assert!(howdah.seen.iter().any(|line| line.contains("listening on 127.0.0.1:")), "{:?}", howdah.seen);
    assert!(howdah.seen.iter().any(|line| line.contains("listening on /")), "{:?}", howdah.seen);
    let pidfile = howdah.dir.path().join("pid");
    assert_eq!(read(&pidfile), format!("{}\n", howdah.child.id()));
    howdah.signal(Signal::TERM);
    assert_eq!(howdah.ended().code(), Some(0));
    assert!(!pidfile.exists());
}

#[test]
fn every_stopping_signal_stops_it() {
    for signal in [Signal::TERM, Signal::INT, Signal::QUIT] {
        let mut howdah = Serving::start("");
        howdah.signal(signal);
        assert_eq!(howdah.ended().code(), Some(0), "{signal:?}");
    }
}

#[test]
fn a_client_holds_up_sigterm_until_it_is_sent_again() {
    let mut howdah = Serving::start("");
    let mut client = howdah.client();
    // It has been admitted once Howdah opens a server connection for it, which nobody ever answers.
    let _server_connection = howdah.server.accept().unwrap();
    howdah.signal(Signal::TERM);
    howdah.wait_for("stopping when the last client has left");
    client.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    let end = client.read_to_end(&mut Vec::new()).map_err(|error| error.kind());
    assert_eq!(end, Err(ErrorKind::WouldBlock), "the client was not waited for");
    howdah.signal(Signal::TERM);
    howdah.wait_for("once more");
    assert_eq!(howdah.ended().code(), Some(0));
}

#[test]
fn hup_reads_the_file_again_and_opens_the_log_again() {
    let mut howdah = Serving::start("logfile = {dir}/log\n");
    let (log, old) = (howdah.dir.path().join("log"), howdah.dir.path().join("log.1"));
    assert!(read(&log).contains("listening on"));
    std::fs::rename(&log, &old).unwrap();
    howdah.signal(Signal::HUP);
    howdah.wait_for("SIGHUP done");
    assert!(log.exists());

    let ini = howdah.dir.path().join("pgbouncer.ini");
    std::fs::write(&ini, read(&ini) + "pool_mod = session\n").unwrap();
    howdah.signal(Signal::HUP);
    let line = howdah.wait_for("unknown setting");
    assert!(line.contains("ERROR") && line.contains("did you mean \"pool_mode\"?"), "{line}");
    howdah.wait_for("failed");
    assert!(read(&log).contains("unknown setting"), "{}", read(&log));
    assert!(!read(&old).contains("unknown setting"), "{}", read(&old));
    howdah.signal(Signal::USR1);
    howdah.wait_for("SIGUSR1 done");
    howdah.signal(Signal::USR2);
    howdah.wait_for("SIGUSR2 done");
}

#[test]
fn a_port_in_use_ends_the_second_one_with_1_and_advice() {
    let first = Serving::start("");
    let second = Command::new(env!("CARGO_BIN_EXE_howdah"))
        .arg(first.dir.path().join("pgbouncer.ini"))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&second.stderr);
    assert_eq!(second.status.code(), Some(1), "{text}");
    assert!(text.contains("in use") && text.contains("ss -l"), "{text}");
}

#[test]
fn json_logs_are_an_object_a_line() {
    let howdah = Serving::start("log_format = json\n");
    for line in &howdah.seen {
        assert!(line.starts_with("{\"timestamp\":\"") && line.ends_with('}'), "{line}");
    }
}

/// A running Howdah; killed when dropped.
struct Serving {
    child: Child,
    log: BufReader<ChildStderr>,
    /// What it had said by the time it served.
    seen: Vec<String>,
    port: u16,
    /// Where its database is, as it believes.
    server: TcpListener,
    dir: TempDir,
}

impl Serving {
    /// Starts it with these lines in `[pgbouncer]` and waits until it serves.
    fn start(settings: &str) -> Serving {
        let dir = tempfile::tempdir().unwrap();
        let port = free_port().unwrap();
        let ini = dir.path().join("pgbouncer.ini");
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let server_port = server.local_addr().unwrap().port();
        let text = format!(
            "[databases]\napp = host=127.0.0.1 port={server_port} user=app password=x\n[pgbouncer]\nlisten_addr = 127.0.0.1\n\
             listen_port = {port}\nunix_socket_dir = {{dir}}\nauth_type = any\nworkers = 1\n{settings}"
        );
        std::fs::write(&ini, text.replace("{dir}", dir.path().to_str().unwrap())).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_howdah"))
            .arg("serve")
            .arg(&ini)
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = BufReader::new(child.stderr.take().unwrap());
        let mut serving = Serving { child, log, seen: Vec::new(), port, server, dir };
        serving.wait_for("serves what");
        serving
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// The next line of the log with that text in it.
    fn wait_for(&mut self, text: &str) -> String {
        loop {
            let mut line = String::new();
            let length = self.log.read_line(&mut line).unwrap();
            assert!(length > 0, "it ended before it said {text:?}; it said {:#?}", self.seen);
            self.seen.push(line.trim_end().to_owned());
            if line.contains(text) {
                return line;
            }
        }
    }

    /// A client that asks to be let in.
    fn client(&self) -> TcpStream {
        let mut client = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        let mut startup = 196_608_i32.to_be_bytes().to_vec();
        startup.extend_from_slice(b"user\0app\0database\0app\0\0");
        let length = i32::try_from(startup.len() + 4).unwrap();
        client.write_all(&[&length.to_be_bytes()[..], &startup].concat()).unwrap();
        client
    }

    fn ended(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}
