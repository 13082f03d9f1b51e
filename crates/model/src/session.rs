//! What a session is, and what its transactions make of it.

use std::collections::{BTreeMap, BTreeSet};

use howdah_wire::backend::TransactionStatus;

use crate::SqlError;
use crate::run::{Done, Outcome};
use crate::settings::{Defaults, Settings};
use crate::token::{Token, tokens};

/// A session of the model PostgreSQL.
#[derive(Debug)]
pub struct Session {
    pub(crate) defaults: Defaults,
    pub(crate) status: TransactionStatus,
    /// What a transaction can undo, as it is now.
    pub(crate) now: Undoable,
    /// As it was when the transaction began, implicit or not.
    pub(crate) at_begin: Option<Undoable>,
    savepoints: Vec<(String, Undoable)>,
    /// Channels listened to; those of this transaction are not among them yet.
    pub(crate) channels: BTreeSet<String>,
    /// Prepared statements, those of the protocol and those of SQL.
    pub prepared: BTreeMap<Vec<u8>, Prepared>,
    /// Session level advisory locks, and how often each is held.
    pub(crate) locks: BTreeMap<String, usize>,
}

/// A prepared statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prepared {
    /// What it runs.
    pub text: String,
    /// The PREPARE it was prepared with, unless by a Parse message.
    pub by_sql: Option<String>,
}

/// What ends with a transaction that is rolled back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Undoable {
    pub(crate) settings: Settings,
    pub(crate) temp: BTreeSet<String>,
    pub(crate) cursors: BTreeSet<String>,
    /// LISTEN and UNLISTEN take effect at the end; `None`: of all channels.
    pub(crate) pending: Vec<(bool, Option<String>)>,
}

impl Session {
    /// That of a backend just begun: for whom, and with what settings (names in lower case).
    #[must_use]
    pub fn new(login: &str, settings: &[(&str, &str)]) -> Session {
        let settings = settings.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        Session {
            defaults: Defaults { login: login.to_owned(), settings },
            status: TransactionStatus::Idle,
            now: Undoable::default(),
            at_begin: None,
            savepoints: Vec::new(),
            channels: BTreeSet::new(),
            prepared: BTreeMap::new(),
            locks: BTreeMap::new(),
        }
    }

    /// As ReadyForQuery says.
    #[must_use]
    pub fn status(&self) -> TransactionStatus {
        self.status
    }

    /// A setting's value; `is_superuser` is one.
    #[must_use]
    pub fn setting(&self, name: &str) -> Option<&str> {
        match name {
            "is_superuser" => Some(if self.now.settings.is_superuser(&self.defaults) { "on" } else { "off" }),
            _ => self.now.settings.get(name, &self.defaults),
        }
    }

    /// All that the client can see of its session and that is not as usual, in one line, prepared statements
    /// excepted.
    #[must_use]
    pub fn unusual(&self, usual: &[(&str, &str)]) -> String {
        let mut seen = String::new();
        let settings = self.defaults.settings.keys().map(String::as_str);
        let custom = self.now.settings.set_here().map(|(name, _)| name).filter(|name| name.contains('.'));
        for name in settings.chain(custom).chain(["role", "session_authorization"]) {
            let value = self.setting(name).unwrap_or_default();
            let usually = usual.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value);
            if value != usually {
                seen.push_str(&format!("{name}={value} "));
            }
        }
        seen + &self.living()
    }

    /// What lives in it.
    fn living(&self) -> String {
        let mut living = String::new();
        let sets = [("temp", &self.now.temp), ("cursors", &self.now.cursors), ("channels", &self.channels)];
        for (name, all) in sets.into_iter().filter(|(_, all)| !all.is_empty()) {
            living.push_str(&format!("{name}={} ", all.iter().cloned().collect::<Vec<_>>().join(",")));
        }
        for (key, held) in &self.locks {
            living.push_str(&format!("lock={key}*{held} "));
        }
        living
    }

    /// Whether this statement is refused since the transaction has failed.
    ///
    /// # Errors
    /// 25P02.
    pub fn check_failed(&self, statement: &str) -> Result<(), SqlError> {
        if self.status != TransactionStatus::Failed {
            return Ok(());
        }
        let ends = tokens(statement).first().is_none_or(|first| first.is("commit") || first.is("rollback"));
        if ends { Ok(()) } else { Err(("25P02", "current transaction is aborted".to_owned())) }
    }

    /// Something is about to be run: a transaction begins, if there is none.
    pub fn begin(&mut self) {
        if self.at_begin.is_none() {
            self.at_begin = Some(self.now.clone());
        }
    }

    /// A statement has failed.
    pub fn fail(&mut self) {
        if self.status == TransactionStatus::InTransaction {
            self.status = TransactionStatus::Failed;
            let savepoint = self.savepoints.last().map(|(_, before)| before);
            if let Some(before) = savepoint.or(self.at_begin.as_ref()) {
                self.now.restore(before.clone());
            }
        } else if self.status == TransactionStatus::Idle {
            self.roll_back();
        }
    }

    /// A simple query or a batch has ended: what was no block is committed.
    pub fn end_message(&mut self) {
        if self.status == TransactionStatus::Idle {
            self.commit();
        }
    }

    fn commit(&mut self) {
        self.status = TransactionStatus::Idle;
        self.at_begin = None;
        self.savepoints.clear();
        self.now.settings.end_transaction();
        for (listen, channel) in std::mem::take(&mut self.now.pending) {
            match (listen, channel) {
                (true, Some(channel)) => drop(self.channels.insert(channel)),
                (false, Some(channel)) => drop(self.channels.remove(&channel)),
                (_, None) => self.channels.clear(),
            }
        }
    }

    fn roll_back(&mut self) {
        self.status = TransactionStatus::Idle;
        self.savepoints.clear();
        if let Some(before) = self.at_begin.take() {
            self.now.restore(before);
        }
    }

    /// BEGIN and its like.
    pub(crate) fn transaction(&mut self, verb: &str, rest: &[Token]) -> Option<Outcome> {
        let in_block = self.status != TransactionStatus::Idle;
        let none = Some(("25P01", "there is no transaction in progress"));
        let name = rest.last().map(Token::value).unwrap_or_default();
        let to_savepoint = verb == "rollback" && rest.first().is_some_and(|first| first.is("to"));
        Some(Ok(match verb {
            "begin" if in_block => Done {
                warning: Some(("25001", "there is already a transaction in progress")),
                ..Done::tag("BEGIN")
            },
            "begin" => {
                self.status = TransactionStatus::InTransaction;
                Done::tag("BEGIN")
            }
            "savepoint" | "release" if !in_block => return Some(Err(no_block(verb))),
            "rollback" if to_savepoint && !in_block => return Some(Err(no_block("rollback to savepoint"))),
            "savepoint" => {
                self.savepoints.push((name, self.now.clone()));
                Done::tag("SAVEPOINT")
            }
            "release" => {
                let Some(at) = self.savepoint(&name) else { return Some(Err(no_savepoint(&name))) };
                self.savepoints.truncate(at);
                Done::tag("RELEASE")
            }
            "rollback" if to_savepoint => {
                let Some(at) = self.savepoint(&name) else { return Some(Err(no_savepoint(&name))) };
                self.savepoints.truncate(at + 1);
                self.now.restore(self.savepoints[at].1.clone());
                self.status = TransactionStatus::InTransaction;
                Done::tag("ROLLBACK")
            }
            "commit" if self.status != TransactionStatus::Failed => {
                self.commit();
                Done { warning: none.filter(|_| !in_block), ..Done::tag("COMMIT") }
            }
            _ => {
                self.roll_back();
                Done { warning: none.filter(|_| !in_block), ..Done::tag("ROLLBACK") }
            }
        }))
    }

    fn savepoint(&self, name: &str) -> Option<usize> {
        self.savepoints.iter().rposition(|(own, _)| own == name)
    }
}

/// What is other than at the beginning, in one line, prepared statements excepted.
impl std::fmt::Display for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (name, value) in self.now.settings.set_here() {
            if value != self.defaults.settings.get(name).map_or("", String::as_str) {
                write!(f, "{name}={value} ")?;
            }
        }
        for name in ["role", "session_authorization"] {
            let value = self.setting(name).unwrap_or_default();
            if value != "none" && value != self.defaults.login {
                write!(f, "{name}={value} ")?;
            }
        }
        f.write_str(&self.living())
    }
}

impl Undoable {
    /// A cursor that was closed stays closed.
    fn restore(&mut self, mut before: Undoable) {
        before.cursors.retain(|cursor| self.cursors.contains(cursor));
        *self = before;
    }
}

fn no_block(what: &str) -> SqlError {
    ("25P01", format!("{} can only be used in transaction blocks", what.to_uppercase()))
}

fn no_savepoint(name: &str) -> SqlError {
    ("3B001", format!("savepoint \"{name}\" does not exist"))
}
