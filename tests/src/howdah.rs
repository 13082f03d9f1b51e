//! The binary under test, with a configuration of its own, on a port of its own.

use std::fmt::{Display, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use howdah_embedded::{Watchdog, free_port};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::log::Log;
use crate::postgres::Database;
use crate::program::{howdah_binary, psql};
use crate::raw::client::RawClient;
use crate::raw::message;
use crate::wait::{breathe, eventually};

/// A running Howdah; killed when dropped. Its log is printed if the test fails.
#[derive(Debug)]
pub struct Howdah {
    builder: HowdahBuilder,
    child: Child,
    exited: Option<ExitStatus>,
    log: Log,
    port: u16,
    dir: TempDir,
    _watchdog: Watchdog,
}

impl Howdah {
    /// A Howdah to be described further. What is not said: `auth_type = trust`, the user `postgres` as user and
    /// administrator, 127.0.0.1 and a Unix socket.
    #[must_use]
    pub fn builder() -> HowdahBuilder {
        HowdahBuilder::new()
    }

    /// A Howdah before `database`, under the same name, with `settings` in `[pgbouncer]`.
    ///
    /// # Panics
    /// As [`HowdahBuilder::start`].
    #[must_use]
    pub fn before(database: &Database, settings: &[(&str, &str)]) -> Self {
        let builder = Self::builder().database(database.name(), &database.server());
        settings.iter().fold(builder, |builder, (name, value)| builder.setting(name, value)).start()
    }

    /// The port on 127.0.0.1, and in the socket's name.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The address on 127.0.0.1.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// The folder of the Unix socket, as libpq's `host` wants it.
    #[must_use]
    pub fn socket_dir(&self) -> &Path {
        self.dir.path()
    }

    /// The Unix socket itself.
    #[must_use]
    pub fn socket_path(&self) -> PathBuf {
        self.dir.path().join(format!(".s.PGSQL.{}", self.port))
    }

    /// What stands in `[pgbouncer]` under this name, if it was said.
    pub(crate) fn setting(&self, name: &str) -> Option<&str> {
        self.builder.settings.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The configuration file.
    #[must_use]
    pub fn ini_path(&self) -> PathBuf {
        self.dir.path().join("pgbouncer.ini")
    }

    /// The process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How `user` connects to `database` through TCP.
    #[must_use]
    pub fn conninfo(&self, database: &str, user: &str) -> String {
        format!("host=127.0.0.1 port={} dbname={database} user={user} sslmode=disable", self.port)
    }

    /// How `user` connects to `database` through the Unix socket.
    #[must_use]
    pub fn unix_conninfo(&self, database: &str, user: &str) -> String {
        format!("host={} port={} dbname={database} user={user}", self.dir.path().display(), self.port)
    }

    /// Runs `sql` with `psql` as user `postgres`.
    ///
    /// # Errors
    /// What `psql` printed.
    pub fn psql(&self, database: &str, sql: &str) -> Result<String, String> {
        psql(&self.conninfo(database, "postgres"), sql)
    }

    /// Gives the console a command and returns its rows.
    ///
    /// # Panics
    /// The console refuses.
    #[track_caller]
    pub fn console(&self, command: &str) -> String {
        self.psql("pgbouncer", command).unwrap_or_else(|error| panic!("{command}: {error}"))
    }

    /// A new connection, not logged in.
    #[must_use]
    pub fn raw(&self) -> RawClient {
        RawClient::tcp(self.address())
    }

    /// A new connection as user `postgres`.
    ///
    /// # Panics
    /// The client is not let in.
    #[must_use]
    #[track_caller]
    pub fn client(&self, database: &Database) -> RawClient {
        let mut client = self.raw();
        client.login(database.name(), "postgres");
        client
    }

    /// Asks for a cancel with this key and waits until the connection is closed without a word.
    ///
    /// # Panics
    /// There comes a word.
    #[track_caller]
    pub fn cancel(&self, key: &[u8]) {
        let mut messenger = self.raw();
        messenger.send(&message::cancel_request(key));
        assert_eq!(messenger.read_to_end(), []);
    }

    /// Sends the process a signal.
    ///
    /// # Panics
    /// It is gone.
    pub fn signal(&self, signal: Signal) {
        assert!(self.exited.is_none(), "howdah has ended already");
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).unwrap_or_else(|error| panic!("cannot signal howdah: {error}"));
    }

    /// Changes the description, writes the files anew and asks for a reload by SIGHUP, which has happened once
    /// the test sees it.
    pub fn reconfigure(&mut self, change: impl FnOnce(HowdahBuilder) -> HowdahBuilder) {
        self.builder = change(self.builder.clone());
        self.builder.write(self.dir.path(), self.port);
        self.signal(Signal::HUP);
    }

    /// Waits for the process to end by itself.
    ///
    /// # Panics
    /// It does not.
    pub fn wait_for_exit(&mut self) -> ExitStatus {
        eventually("howdah ends", || self.try_wait())
    }

    /// Whether the process has not ended.
    pub fn is_running(&mut self) -> bool {
        self.try_wait().is_none()
    }

    /// Everything logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        self.log.text()
    }

    /// Waits for a logged line that contains `text`.
    ///
    /// # Panics
    /// There comes none.
    #[track_caller]
    pub fn wait_for_log(&self, text: &str) -> String {
        self.log.wait_for(text)
    }

    fn try_wait(&mut self) -> Option<ExitStatus> {
        if self.exited.is_none() {
            self.exited = self.child.try_wait().expect("a child can be waited for");
        }
        self.exited
    }

    /// The doors asked for are open; the Unix socket, in a folder nobody else knows, proves that it is ours.
    fn answers(&self) -> bool {
        let unix =
            !self.builder.has_door("unix_socket_dir") || UnixStream::connect(self.socket_path()).is_ok();
        let tcp = !self.builder.has_door("listen_addr") || TcpStream::connect(self.address()).is_ok();
        unix && tcp
    }
}

impl Drop for Howdah {
    fn drop(&mut self) {
        if self.try_wait().is_none() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        if std::thread::panicking() {
            print_for_the_failed_test(&self.log());
        }
    }
}

/// Why there is no Howdah.
#[derive(Debug)]
pub struct StartFailure {
    /// How the process ended.
    pub status: ExitStatus,
    /// What it said.
    pub log: String,
}

/// The wishes for a [`Howdah`].
#[derive(Clone, Debug)]
pub struct HowdahBuilder {
    databases: Vec<(String, String)>,
    users: Vec<(String, String)>,
    settings: Vec<(String, String)>,
    secrets: Vec<(String, String)>,
}

impl HowdahBuilder {
    fn new() -> Self {
        Self { databases: Vec::new(), users: Vec::new(), settings: Vec::new(), secrets: Vec::new() }
            .setting("listen_addr", "127.0.0.1")
            .setting("auth_type", "trust")
            .setting("admin_users", "postgres")
            .secret("postgres", "")
    }

    /// Sets a line of `[databases]`, such as `("app", "host=… dbname=…")`.
    #[must_use]
    pub fn database(mut self, name: &str, server: &str) -> Self {
        set(&mut self.databases, name, server);
        self
    }

    /// Sets a line of `[users]`.
    #[must_use]
    pub fn user(mut self, name: &str, settings: &str) -> Self {
        set(&mut self.users, name, settings);
        self
    }

    /// Sets a line of `[pgbouncer]`.
    #[must_use]
    pub fn setting(mut self, name: &str, value: impl Display) -> Self {
        set(&mut self.settings, name, &value.to_string());
        self
    }

    /// Sets a line of `userlist.txt`.
    #[must_use]
    pub fn secret(mut self, user: &str, secret: &str) -> Self {
        set(&mut self.secrets, user, secret);
        self
    }

    /// Starts the binary and waits until it answers.
    ///
    /// # Panics
    /// It ends instead.
    #[must_use]
    #[track_caller]
    pub fn start(self) -> Howdah {
        self.try_start()
            .unwrap_or_else(|failure| panic!("howdah did not start ({}):\n{}", failure.status, failure.log))
    }

    /// Starts the binary and waits until it answers or ends.
    ///
    /// # Errors
    /// It ended.
    ///
    /// # Panics
    /// The binary is not built, or it neither answers nor ends.
    pub fn try_start(self) -> Result<Howdah, StartFailure> {
        loop {
            let mut howdah = self.spawn();
            let ended = eventually("howdah answers or ends", || {
                let ended = howdah.try_wait();
                (ended.is_some() || howdah.answers()).then_some(ended)
            });
            let Some(status) = ended else { return Ok(howdah) };
            let log = howdah.log.last_words();
            if !log.contains("in use") {
                return Err(StartFailure { status, log });
            }
            // Somebody took the port between our look and the bind.
            breathe();
        }
    }

    fn spawn(&self) -> Howdah {
        let dir =
            tempfile::Builder::new().prefix("howdah-").tempdir_in("/tmp").expect("/tmp can be written to");
        let free_port = || free_port().unwrap_or_else(|error| panic!("{error}"));
        let port = free_port();
        let mut builder = self.clone();
        for (_, value) in builder.settings.iter_mut().filter(|(_, value)| value == FREE_PORT) {
            *value = free_port().to_string();
        }
        builder.write(dir.path(), port);
        let binary = howdah_binary();
        let mut child = Command::new(&binary)
            .arg("serve")
            .arg(dir.path().join("pgbouncer.ini"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot run {binary:?}: {error}"));
        let log = Log::default();
        log.capture(child.stdout.take().expect("stdout is a pipe"));
        log.capture(child.stderr.take().expect("stderr is a pipe"));
        let arguments = [child.id().to_string(), dir.path().display().to_string()];
        let watchdog = Watchdog::start(r#"kill -9 "$1"; rm -rf "$2""#, &arguments)
            .unwrap_or_else(|error| panic!("{error}"));
        Howdah { builder, child, exited: None, log, port, dir, _watchdog: watchdog }
    }

    /// Whether an address setting was not emptied: what is never set has its default.
    fn has_door(&self, setting: &str) -> bool {
        self.settings.iter().all(|(name, value)| name != setting || !value.is_empty())
    }

    fn write(&self, dir: &Path, port: u16) {
        let mut settings = Vec::new();
        set(&mut settings, "listen_port", &port.to_string());
        set(&mut settings, "unix_socket_dir", &dir.display().to_string());
        set(&mut settings, "auth_file", &dir.join("userlist.txt").display().to_string());
        // The whole set is run once for each way of sending; `auto` goes back and forth between the two.
        let engine = std::env::var("HOWDAH_TEST_IO_ENGINE");
        set(&mut settings, "io_engine", engine.as_deref().unwrap_or("uring"));
        for (name, value) in &self.settings {
            set(&mut settings, name, value);
        }
        let mut ini = String::new();
        for (name, lines) in
            [("databases", &self.databases), ("users", &self.users), ("pgbouncer", &settings)]
        {
            writeln!(ini, "[{name}]").expect("writing to a String cannot fail");
            for (key, value) in lines {
                writeln!(ini, "{key} = {value}").expect("writing to a String cannot fail");
            }
        }
        let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
        let secrets: Vec<_> = self
            .secrets
            .iter()
            .map(|(user, secret)| format!("{} {}\n", quoted(user), quoted(secret)))
            .collect();
        std::fs::write(dir.join("pgbouncer.ini"), ini).expect("our folder can be written to");
        std::fs::write(dir.join("userlist.txt"), secrets.concat()).expect("our folder can be written to");
    }
}

/// As a value: a free port, chosen when Howdah is started.
pub(crate) const FREE_PORT: &str = "a free port";

fn set(lines: &mut Vec<(String, String)>, name: &str, value: &str) {
    lines.retain(|(old, _)| old != name);
    lines.push((name.to_owned(), value.to_owned()));
}

#[expect(clippy::print_stderr, reason = "the test runner shows it below the failed test's name")]
fn print_for_the_failed_test(log: &str) {
    eprintln!("--- howdah said ---\n{log}\n-------------------");
}
