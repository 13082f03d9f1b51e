//! Where are PostgreSQL's programs?
//!
//! Order: the folder `HOWDAH_PG_BIN`; the folders of `PATH`; what `pg_config --bindir` says; the folders
//! distributions use, newest version first. A folder counts only if the server's programs are in it: `pg_config`
//! and `psql` often come without.

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::EmbeddedError;
use crate::program::run;

/// A folder with a PostgreSQL server's programs, and their version.
#[derive(Clone, Debug)]
pub struct Binaries {
    dir: PathBuf,
    version: String,
}

impl Binaries {
    /// Finds the programs in the order of the module's description.
    ///
    /// # Errors
    /// `HOWDAH_PG_BIN` is set and wrong, or no place has them. The text says what to install.
    pub fn find() -> Result<Self, EmbeddedError> {
        if let Some(dir) = env::var_os("HOWDAH_PG_BIN") {
            return Self::in_folder(Path::new(&dir));
        }
        let path = env::var_os("PATH").unwrap_or_default();
        let mut looked_in: Vec<PathBuf> = env::split_paths(&path).collect();
        looked_in.extend(pg_config_bindir());
        looked_in.extend(FOLDERS.iter().flat_map(|pattern| newest_first(pattern)));
        match looked_in.iter().find(|dir| first_missing(dir).is_none()) {
            Some(dir) => Self::in_folder(dir),
            None => Err(EmbeddedError::NotFound { looked_in }),
        }
    }

    /// Takes the programs in `dir`.
    ///
    /// # Errors
    /// One of the server's programs is missing, or `postgres --version` does not work.
    pub fn in_folder(dir: &Path) -> Result<Self, EmbeddedError> {
        if let Some(missing) = first_missing(dir) {
            return Err(EmbeddedError::WrongFolder { dir: dir.to_owned(), missing });
        }
        let version = run(Command::new(dir.join("postgres")).arg("--version"))?;
        Ok(Self { dir: dir.to_owned(), version: version.trim().to_owned() })
    }

    /// The folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// What `postgres --version` says, such as `postgres (PostgreSQL) 15.20`.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The path of one program. Clients such as `psql` and `pgbench` may live in `PATH` instead.
    #[must_use]
    pub fn program(&self, name: &str) -> PathBuf {
        let here = self.dir.join(name);
        if here.is_file() { here } else { PathBuf::from(name) }
    }
}

fn first_missing(dir: &Path) -> Option<&'static str> {
    SERVER_PROGRAMS.into_iter().find(|name| !dir.join(name).is_file())
}

fn pg_config_bindir() -> Option<PathBuf> {
    let answer = run(Command::new("pg_config").arg("--bindir")).ok()?;
    Some(PathBuf::from(answer.trim()))
}

/// Folders that match `pattern`, whose one `*` stands for the rest of a folder's name with a version in it.
fn newest_first(pattern: &str) -> Vec<PathBuf> {
    let Some((before, after)) = pattern.split_once('*') else {
        return vec![PathBuf::from(pattern)];
    };
    let (parent, prefix) = before.rsplit_once('/').expect("patterns are absolute");
    let mut found: Vec<(u32, PathBuf)> = std::fs::read_dir(parent)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let version = version_of(&entry.file_name(), prefix)?;
            let path = format!("{}{after}", entry.path().display());
            Some((version, PathBuf::from(path)))
        })
        .collect();
    found.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
    found.into_iter().map(|(_, path)| path).collect()
}

fn version_of(name: &OsStr, prefix: &str) -> Option<u32> {
    let rest = name.to_str()?.strip_prefix(prefix)?;
    rest.split('.').next()?.parse().ok()
}

const SERVER_PROGRAMS: [&str; 3] = ["initdb", "pg_ctl", "postgres"];

const FOLDERS: [&str; 6] = [
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/opt/homebrew/opt/postgresql@*/bin",
    "/usr/local/opt/postgresql@*/bin",
    "/home/linuxbrew/.linuxbrew/opt/postgresql@*/bin",
    "/Applications/Postgres.app/Contents/Versions/*/bin",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        let home = tempfile::tempdir().unwrap();
        for version in ["9.6", "14", "15", "not-a-version"] {
            std::fs::create_dir_all(home.path().join(version).join("bin")).unwrap();
        }
        let found = newest_first(&format!("{}/*/bin", home.path().display()));
        let expected: Vec<_> = ["15", "14", "9.6"].map(|v| home.path().join(v).join("bin")).into();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_folder_without_a_server_is_refused_by_name() {
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join("initdb"), "").unwrap();
        let refusal = Binaries::in_folder(home.path()).unwrap_err();
        assert!(matches!(refusal, EmbeddedError::WrongFolder { missing: "pg_ctl", .. }), "{refusal}");
    }
}
