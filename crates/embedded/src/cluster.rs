//! A private PostgreSQL server, from its start to its end.
//!
//! States: running, or stopped by [`Cluster::stop`] until [`Cluster::restart`]. Starting and stopping is left to
//! `pg_ctl`, which waits for the server's own status file. Dropped, the server is shut down and its folder removed.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::account::Account;
use crate::binaries::Binaries;
use crate::builder::ClusterBuilder;
use crate::error::EmbeddedError;
use crate::program::run;
use crate::watchdog::Watchdog;

/// A PostgreSQL server of one's own; its superuser is `postgres`.
#[derive(Debug)]
pub struct Cluster {
    binaries: Binaries,
    account: Account,
    port: u16,
    // Dropped in this order: only when the folder is gone the watchdog is dismissed.
    home: TempDir,
    _watchdog: Watchdog,
}

/// How [`Cluster::stop`] ends the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopMode {
    /// Waits until the last client has left.
    Smart,
    /// Rolls back what is open and disconnects the clients.
    Fast,
    /// As if it crashed.
    Immediate,
}

impl Cluster {
    /// A cluster to be described further.
    #[must_use]
    pub fn builder() -> ClusterBuilder {
        ClusterBuilder::new()
    }

    /// Starts a cluster with the defaults.
    ///
    /// # Errors
    /// As [`ClusterBuilder::start`].
    pub fn start() -> Result<Self, EmbeddedError> {
        Self::builder().start()
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
        self.home.path()
    }

    /// The Unix socket itself.
    #[must_use]
    pub fn socket_path(&self) -> PathBuf {
        self.home.path().join(format!(".s.PGSQL.{}", self.port))
    }

    /// The data directory.
    #[must_use]
    pub fn data_dir(&self) -> PathBuf {
        self.home.path().join("data")
    }

    /// The programs this server was started with.
    #[must_use]
    pub fn binaries(&self) -> &Binaries {
        &self.binaries
    }

    /// The postmaster's process id while the server runs.
    #[must_use]
    pub fn pid(&self) -> Option<i32> {
        let text = std::fs::read_to_string(self.data_dir().join("postmaster.pid")).ok()?;
        text.lines().next()?.trim().parse().ok()
    }

    /// What the server logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read(self.log_path())
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }

    /// How the superuser connects to database `postgres` through the Unix socket.
    #[must_use]
    pub fn conninfo(&self) -> String {
        self.conninfo_for("postgres", "postgres")
    }

    /// How `user` connects to `database` through the Unix socket.
    #[must_use]
    pub fn conninfo_for(&self, database: &str, user: &str) -> String {
        let host = self.socket_dir().display();
        format!("host={host} port={} dbname='{}' user='{}'", self.port, quoted(database), quoted(user))
    }

    /// Runs `sql` with the program `psql` as the superuser in database `postgres`; rows come as lines, columns
    /// divided by `|`.
    ///
    /// # Errors
    /// There is no `psql`, or a statement failed.
    pub fn psql(&self, sql: &str) -> Result<String, EmbeddedError> {
        self.psql_in("postgres", sql)
    }

    /// As [`Cluster::psql`], in another database.
    ///
    /// # Errors
    /// As [`Cluster::psql`].
    pub fn psql_in(&self, database: &str, sql: &str) -> Result<String, EmbeddedError> {
        let mut psql = Command::new(self.binaries.program("psql"));
        psql.args([
            "-XqAt",
            "-v",
            "ON_ERROR_STOP=1",
            "-d",
            &self.conninfo_for(database, "postgres"),
            "-c",
            sql,
        ]);
        run(&mut psql).map(|text| text.trim_end_matches('\n').to_owned())
    }

    /// Stops the server and waits until it is gone. A stopped server may be stopped again.
    ///
    /// # Errors
    /// It did not stop within a minute.
    pub fn stop(&self, mode: StopMode) -> Result<(), EmbeddedError> {
        if self.pid().is_none() {
            return Ok(());
        }
        let mode = match mode {
            StopMode::Smart => "smart",
            StopMode::Fast => "fast",
            StopMode::Immediate => "immediate",
        };
        self.pg_ctl(&["stop", "-m", mode])
    }

    /// Stops the server (fast) if it runs, and starts it on the same port.
    ///
    /// # Errors
    /// It did not stop or did not start.
    pub fn restart(&self) -> Result<(), EmbeddedError> {
        self.stop(StopMode::Fast)?;
        self.launch()
    }

    /// Makes the server read its configuration files again.
    ///
    /// # Errors
    /// The server does not run.
    pub fn reload(&self) -> Result<(), EmbeddedError> {
        self.pg_ctl(&["reload"])
    }

    /// Ends one backend as an administrator would: its client gets FATAL 57P01.
    ///
    /// # Errors
    /// No backend of this server has that process id.
    pub fn terminate_backend(&self, pid: i32) -> Result<(), EmbeddedError> {
        self.signal_backend(pid, Signal::TERM)
    }

    /// Kills one backend (SIGKILL); PostgreSQL then drops every other connection too and recovers.
    ///
    /// # Errors
    /// No backend of this server has that process id.
    pub fn kill_backend(&self, pid: i32) -> Result<(), EmbeddedError> {
        self.signal_backend(pid, Signal::KILL)
    }

    fn signal_backend(&self, pid: i32, signal: Signal) -> Result<(), EmbeddedError> {
        let ours = self.psql(&format!("select count(*) from pg_stat_activity where pid = {pid}"))?;
        let target = Pid::from_raw(pid).filter(|_| ours == "1").ok_or(EmbeddedError::NoSuchBackend(pid))?;
        kill_process(target, signal).map_err(|_| EmbeddedError::NoSuchBackend(pid))
    }

    /// A cluster whose data directory is ready and whose server does not run yet.
    pub(crate) fn prepare(parts: Parts) -> Result<Self, EmbeddedError> {
        let Parts { binaries, account, home } = parts;
        let arguments = [binaries.program("pg_ctl"), home.path().to_owned()];
        let watchdog = Watchdog::start_with(account.command("sh"), CLEAN_UP, &arguments)?;
        Ok(Self { binaries, account, port: 0, home, _watchdog: watchdog })
    }

    pub(crate) fn start_on(&mut self, port: u16) -> Result<(), EmbeddedError> {
        self.port = port;
        self.launch()
    }

    fn launch(&self) -> Result<(), EmbeddedError> {
        let log = self.log_path();
        let before = self.log().len();
        match self.pg_ctl(&["start", "-s", "-l", &log.to_string_lossy()]) {
            Err(EmbeddedError::Program { program, status, output }) => {
                let why = self.log().get(before..).unwrap_or_default().to_owned();
                Err(EmbeddedError::Program { program, status, output: format!("{output}\n{why}") })
            }
            result => result,
        }
    }

    fn pg_ctl(&self, arguments: &[&str]) -> Result<(), EmbeddedError> {
        let mut command = self.account.command(self.binaries.program("pg_ctl"));
        command.arg("-D").arg(self.data_dir()).args(["-w", "-t", "60"]).args(arguments);
        run(&mut command).map(drop)
    }

    fn log_path(&self) -> PathBuf {
        self.home.path().join("log")
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let gone = self.stop(StopMode::Fast).or_else(|_| self.stop(StopMode::Immediate));
        if let (Err(_), Some(pid)) = (gone, self.pid().and_then(Pid::from_raw)) {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

/// What a cluster is made of before its server runs.
pub(crate) struct Parts {
    pub(crate) binaries: Binaries,
    pub(crate) account: Account,
    pub(crate) home: TempDir,
}

fn quoted(value: &str) -> String {
    value.replace('\\', r"\\").replace('\'', r"\'")
}

/// What the watchdog does: `$1` is `pg_ctl`, `$2` the folder.
const CLEAN_UP: &str = r#""$1" -D "$2/data" -m immediate -w stop; rm -rf "$2""#;
