//! What can go wrong before, while and after a private PostgreSQL runs.

use std::path::PathBuf;
use std::process::ExitStatus;

use thiserror::Error;

/// Why there is no PostgreSQL, or not the answer one hoped for.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum EmbeddedError {
    /// None of the usual places holds a PostgreSQL server.
    #[error(
        "no PostgreSQL server programs (initdb, pg_ctl, postgres) found; looked in: {}. \
         Install them (Debian, Ubuntu: apt-get install postgresql; Fedora: dnf install postgresql-server; \
         macOS: brew install postgresql) or set HOWDAH_PG_BIN to the folder that holds them",
        list(looked_in)
    )]
    NotFound {
        /// The folders that were tried.
        looked_in: Vec<PathBuf>,
    },
    /// `HOWDAH_PG_BIN` names a folder without the programs.
    #[error("HOWDAH_PG_BIN is {dir:?}, but {} is not there", missing)]
    WrongFolder {
        /// The folder named.
        dir: PathBuf,
        /// The first program that is missing.
        missing: &'static str,
    },
    /// We are root and know no account to run the server as.
    #[error(
        "PostgreSQL does not run as root, and there is neither a user \"nobody\" nor \"postgres\" to run it as"
    )]
    NoAccount,
    /// No temporary folder is short enough for a socket and open to the account the server runs as.
    #[error("no usable temporary folder: tried {}", list(tried))]
    NoFolder {
        /// The folders that were tried.
        tried: Vec<PathBuf>,
    },
    /// Every port tried was taken.
    #[error("no free port on 127.0.0.1")]
    NoPort,
    /// A program could not be started, or a file not be used.
    #[error("{what} {path:?}: {source}")]
    Io {
        /// What was tried, as in "cannot write".
        what: &'static str,
        /// On which file or program.
        path: PathBuf,
        /// The operating system's answer.
        source: std::io::Error,
    },
    /// A program ran and failed.
    #[error("{program:?} failed ({status}): {output}")]
    Program {
        /// The program.
        program: PathBuf,
        /// How it ended.
        status: ExitStatus,
        /// What it said, and the server's log where that explains more.
        output: String,
    },
    /// A process id that belongs to no backend of this server.
    #[error("process {0} is no backend of this server")]
    NoSuchBackend(i32),
}

impl EmbeddedError {
    pub(crate) fn io(what: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { what, path, source }
    }
}

fn list(paths: &[PathBuf]) -> String {
    let names: Vec<_> = paths.iter().map(|path| path.display().to_string()).collect();
    names.join(", ")
}
