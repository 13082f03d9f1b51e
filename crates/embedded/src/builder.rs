//! What kind of PostgreSQL is wanted?

use std::fmt::Write;
use std::path::Path;

use crate::account::Account;
use crate::binaries::Binaries;
use crate::cluster::{Cluster, Parts};
use crate::error::EmbeddedError;
use crate::port::free_port;
use crate::template::data_directory;

/// The wishes for a [`Cluster`]; whatever is not said is PostgreSQL's default.
#[derive(Clone, Debug)]
pub struct ClusterBuilder {
    settings: Vec<(String, String)>,
    hba: Vec<String>,
    tcp: bool,
    cached: bool,
}

impl ClusterBuilder {
    pub(crate) fn new() -> Self {
        Self { settings: Vec::new(), hba: Vec::new(), tcp: true, cached: true }
    }

    /// Sets a parameter of `postgresql.conf`; the last one of a name counts.
    #[must_use]
    pub fn setting(mut self, name: &str, value: impl ToString) -> Self {
        self.settings.push((name.to_owned(), value.to_string()));
        self
    }

    /// How the server stores passwords given from now on: `md5` or `scram-sha-256`.
    #[must_use]
    pub fn password_encryption(self, method: &str) -> Self {
        self.setting("password_encryption", method)
    }

    /// Adds a line of `pg_hba.conf`. Lines count in the order given, before those that trust everybody else.
    #[must_use]
    pub fn hba(mut self, line: &str) -> Self {
        self.hba.push(line.to_owned());
        self
    }

    /// Whether to listen on 127.0.0.1 besides the Unix socket. The default is yes.
    #[must_use]
    pub fn tcp(mut self, wanted: bool) -> Self {
        self.tcp = wanted;
        self
    }

    /// Leave nothing at all behind, not even the initialised template that makes the next start faster.
    #[must_use]
    pub fn one_off(mut self) -> Self {
        self.cached = false;
        self
    }

    /// Finds PostgreSQL, prepares a data directory, starts the server and waits until it answers.
    ///
    /// # Errors
    /// PostgreSQL is not installed or does not start; the text holds its log.
    pub fn start(self) -> Result<Cluster, EmbeddedError> {
        let binaries = Binaries::find()?;
        let account = Account::choose()?;
        let root = account.temporary_root()?;
        let home = account.private_folder(&root, "howdah-pg-")?;
        let data = home.path().join("data");
        data_directory(&binaries, account, &root, &data, self.cached)?;
        write(&data.join("pg_hba.conf"), &self.hba_file())?;
        let conf = data.join("postgresql.conf");
        let defaults =
            std::fs::read_to_string(&conf).map_err(EmbeddedError::io("cannot read", conf.as_path()))?;
        let mut cluster = Cluster::prepare(Parts { binaries, account, home })?;
        for _ in 0..PORTS_TRIED {
            let port = free_port()?;
            write(&conf, &format!("{defaults}\n{}", self.conf(cluster.socket_dir(), port)))?;
            match cluster.start_on(port) {
                Err(EmbeddedError::Program { output, .. }) if output.contains(PORT_TAKEN) => {}
                result => return result.map(|()| cluster),
            }
        }
        Err(EmbeddedError::NoPort)
    }

    fn conf(&self, socket_dir: &Path, port: u16) -> String {
        let socket_dir = socket_dir.to_string_lossy();
        let port = port.to_string();
        let ours = [
            ("unix_socket_directories", &*socket_dir),
            ("listen_addresses", if self.tcp { "127.0.0.1" } else { "" }),
            ("port", &port),
            ("fsync", "off"),
            ("full_page_writes", "off"),
            ("log_line_prefix", "%m [%p] %q%u@%d "),
        ];
        let theirs = self.settings.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        ours.into_iter().chain(theirs).fold(String::new(), |mut text, (name, value)| {
            let value = value.replace('\\', r"\\").replace('\'', "''");
            writeln!(text, "{name} = '{value}'").expect("writing to a String cannot fail");
            text
        })
    }

    fn hba_file(&self) -> String {
        let trusting =
            ["local all all trust", "host all all 127.0.0.1/32 trust", "local replication all trust"];
        let lines: Vec<&str> = self.hba.iter().map(String::as_str).chain(trusting).collect();
        lines.join("\n") + "\n"
    }
}

/// Replaces a file that exists already, so that its owner stays.
fn write(path: &Path, text: &str) -> Result<(), EmbeddedError> {
    std::fs::write(path, text).map_err(EmbeddedError::io("cannot write", path))
}

const PORTS_TRIED: usize = 10;
const PORT_TAKEN: &str = "Address already in use";
