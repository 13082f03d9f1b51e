//! The statements that change a session.

use std::collections::{BTreeMap, BTreeSet};

use howdah_wire::backend::TransactionStatus;

use crate::SqlError;
use crate::question;
use crate::settings::{Defaults, Settings};
use crate::token::{Token, tokens};

/// A session of the model PostgreSQL.
#[derive(Debug)]
pub struct Session {
    pub(crate) defaults: Defaults,
    status: TransactionStatus,
    /// What a transaction can undo, as it is now.
    pub(crate) now: Undoable,
    /// As it was when the transaction began, implicit or not.
    at_begin: Option<Undoable>,
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

/// How a statement went that succeeded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// For CommandComplete.
    pub tag: String,
    /// Its rows, if it is one that has any.
    pub rows: Option<Vec<Vec<Option<Vec<u8>>>>>,
    /// A warning: SQLSTATE and text.
    pub warning: Option<(&'static str, &'static str)>,
    /// This is to be run in its stead: what EXECUTE stands for.
    pub instead: Option<String>,
}

/// What ends with a transaction that is rolled back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Undoable {
    pub(crate) settings: Settings,
    pub(crate) temp: BTreeSet<String>,
    pub(crate) cursors: BTreeSet<String>,
    /// LISTEN and UNLISTEN take effect at the end; `None`: of all channels.
    pending: Vec<(bool, Option<String>)>,
}

type Outcome = Result<Done, SqlError>;

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

    /// Runs one statement; `in_message`: others stand before or behind it in its simple query. `None`: it is none
    /// of those that change or show a session.
    pub fn run(&mut self, statement: &str, in_message: bool) -> Option<Outcome> {
        let words = tokens(statement);
        let Some(Token::Word(verb)) = words.first() else { return None };
        let rest = &words[1..];
        self.begin();
        Some(match verb.as_str() {
            "begin" | "commit" | "rollback" | "savepoint" | "release" => self.transaction(verb, rest)?,
            "set" => self.set(rest, in_message)?,
            "reset" => self.reset(rest),
            "show" => self.show(rest),
            "select" => {
                return question::answer(self, rest)
                    .map(|rows| rows.map(Done::rows))
                    .or_else(|| self.call(rest));
            }
            "prepare" => self.prepare(statement, rest)?,
            "execute" => self.execute(rest),
            "deallocate" => self.deallocate(rest),
            "discard" => self.discard(rest, in_message)?,
            "create" => self.create(rest)?,
            "drop" => self.drop(rest)?,
            "declare" => self.declare(rest)?,
            "close" => self.close(rest),
            "listen" | "unlisten" => {
                let channel = rest.first().filter(|first| **first != Token::Sign('*')).map(name_of);
                self.now.pending.push((verb == "listen", channel));
                Ok(Done::tag(&verb.to_uppercase()))
            }
            _ => return None,
        })
    }

    fn transaction(&mut self, verb: &str, rest: &[Token]) -> Option<Outcome> {
        let in_block = self.status != TransactionStatus::Idle;
        let none = Some(("25P01", "there is no transaction in progress"));
        let name = rest.last().map(name_of).unwrap_or_default();
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

    fn set(&mut self, mut rest: &[Token], in_message: bool) -> Option<Outcome> {
        let mut local = false;
        if let [first, Token::Word(_), Token::Word(_) | Token::Text(_) | Token::Sign('=' | '.'), ..] = rest
            && (first.is("local") || first.is("session"))
            && !rest[1].is("authorization")
            && !rest[1].is("to")
        {
            local = first.is("local");
            rest = &rest[1..];
        } else if let [first, second, _, ..] = rest
            && first.is("local")
            && second.is("session")
        {
            local = true;
            rest = &rest[1..];
        }
        let (name, value) = match rest {
            [first, value] if first.is("role") => ("role".to_owned(), value),
            [first, second, value] if first.is("session") && second.is("authorization") => {
                ("session_authorization".to_owned(), value)
            }
            [.., value] => (setting_name(rest.get(..rest.len().checked_sub(2)?)?), value),
            [] => return None,
        };
        let mut done = Done::tag("SET");
        if local && self.status == TransactionStatus::Idle && !in_message {
            done.warning = Some(("25P01", "SET LOCAL can only be used in transaction blocks"));
        }
        let outcome = if value.is("default") {
            self.now.settings.reset(&name, &self.defaults)
        } else {
            self.now.settings.set(&name, &value_of(value), local, &self.defaults)
        };
        Some(outcome.map(|()| done))
    }

    fn reset(&mut self, rest: &[Token]) -> Outcome {
        match rest {
            [all] if all.is("all") => self.now.settings.reset_all(),
            [first, second] if first.is("session") && second.is("authorization") => {
                self.now.settings.reset("session_authorization", &self.defaults)?;
            }
            _ => self.now.settings.reset(&setting_name(rest), &self.defaults)?,
        }
        Ok(Done::tag("RESET"))
    }

    fn show(&self, rest: &[Token]) -> Outcome {
        let name = setting_name(rest);
        let unknown = || ("42704", format!("unrecognized configuration parameter \"{name}\""));
        let value = self.setting(&name).ok_or_else(unknown)?;
        Ok(Done { tag: "SHOW".into(), rows: Some(vec![vec![Some(value.into())]]), ..Done::default() })
    }

    /// SELECT of functions.
    fn call(&mut self, rest: &[Token]) -> Option<Outcome> {
        let mut row = Vec::new();
        for (function, arguments) in calls(rest)? {
            let text = |index: usize| arguments.get(index).map(|words| literal(words)).unwrap_or_default();
            let value = match function.as_str() {
                "set_config" => {
                    let local = arguments
                        .get(2)
                        .is_some_and(|words| words.first().is_some_and(|word| word.is("true")));
                    let name = text(0).to_lowercase();
                    if let Err(error) = self.now.settings.set(&name, &text(1), local, &self.defaults) {
                        return Some(Err(error));
                    }
                    text(1)
                }
                "pg_advisory_lock" => {
                    *self.locks.entry(text(0)).or_default() += 1;
                    String::new()
                }
                "pg_advisory_unlock" => self.unlock(&text(0)).to_string(),
                "pg_advisory_unlock_all" => {
                    self.locks.clear();
                    String::new()
                }
                "session" => self.to_string(),
                _ => return None,
            };
            row.push(Some(value.into_bytes()));
        }
        Some(Ok(Done::rows(vec![row])))
    }

    pub(crate) fn set_local(&mut self, name: &str, value: &str) -> Result<(), SqlError> {
        self.now.settings.set(name, value, true, &self.defaults)
    }

    fn unlock(&mut self, key: &str) -> bool {
        let Some(held) = self.locks.get_mut(key) else { return false };
        *held -= 1;
        if *held == 0 {
            self.locks.remove(key);
        }
        true
    }

    fn prepare(&mut self, statement: &str, rest: &[Token]) -> Option<Outcome> {
        let [name, a, _, ..] = rest else { return None };
        if !a.is("as") {
            return None;
        }
        let lower = statement.to_lowercase();
        let text = statement[lower.find(" as ")? + 4..].trim().to_owned();
        let name = name_of(name);
        if self.prepared.contains_key(name.as_bytes()) {
            return Some(Err(("42P05", format!("prepared statement \"{name}\" already exists"))));
        }
        self.prepared.insert(name.into_bytes(), Prepared { text, by_sql: Some(statement.to_owned()) });
        Some(Ok(Done::tag("PREPARE")))
    }

    fn execute(&mut self, rest: &[Token]) -> Outcome {
        let name = rest.first().map(name_of).unwrap_or_default();
        let prepared = self.prepared.get(name.as_bytes()).ok_or_else(|| no_statement(&name))?;
        Ok(Done { instead: Some(prepared.text.clone()), ..Done::default() })
    }

    fn deallocate(&mut self, rest: &[Token]) -> Outcome {
        let name = rest.last().map(name_of).unwrap_or_default();
        if name == "all" {
            self.prepared.clear();
            return Ok(Done::tag("DEALLOCATE ALL"));
        }
        self.prepared.remove(name.as_bytes()).ok_or_else(|| no_statement(&name))?;
        Ok(Done::tag("DEALLOCATE"))
    }

    fn discard(&mut self, rest: &[Token], in_message: bool) -> Option<Outcome> {
        if rest.first()?.is("temp") {
            self.now.temp.clear();
            return Some(Ok(Done::tag("DISCARD TEMP")));
        }
        if self.status != TransactionStatus::Idle || in_message {
            return Some(Err(("25001", "DISCARD ALL cannot run inside a transaction block".to_owned())));
        }
        self.now = Undoable::default();
        self.at_begin = None;
        self.prepared.clear();
        self.locks.clear();
        self.channels.clear();
        Some(Ok(Done::tag("DISCARD ALL")))
    }

    fn create(&mut self, rest: &[Token]) -> Option<Outcome> {
        let [temp, table, name, ..] = rest else { return None };
        if !temp.is("temp") || !table.is("table") {
            return None;
        }
        let name = name_of(name);
        if self.now.temp.contains(&name) {
            return Some(Err(("42P07", format!("relation \"{name}\" already exists"))));
        }
        self.now.temp.insert(name);
        Some(Ok(Done::tag("CREATE TABLE")))
    }

    fn drop(&mut self, rest: &[Token]) -> Option<Outcome> {
        let [table, name] = rest else { return None };
        if !table.is("table") {
            return None;
        }
        let name = name_of(name);
        if !self.now.temp.remove(&name) {
            return Some(Err(("42P01", format!("table \"{name}\" does not exist"))));
        }
        Some(Ok(Done::tag("DROP TABLE")))
    }

    fn declare(&mut self, rest: &[Token]) -> Option<Outcome> {
        if !rest.windows(2).any(|pair| pair[0].is("with") && pair[1].is("hold")) {
            return None;
        }
        let name = rest.first().map(name_of)?;
        if !self.now.cursors.insert(name.clone()) {
            return Some(Err(("42P03", format!("cursor \"{name}\" already exists"))));
        }
        Some(Ok(Done::tag("DECLARE CURSOR")))
    }

    fn close(&mut self, rest: &[Token]) -> Outcome {
        let name = rest.first().map(name_of).unwrap_or_default();
        if !self.now.cursors.remove(&name) {
            return Err(("34000", format!("cursor \"{name}\" does not exist")));
        }
        Ok(Done::tag("CLOSE CURSOR"))
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

impl Done {
    fn tag(tag: &str) -> Done {
        Done { tag: tag.to_owned(), ..Done::default() }
    }

    fn rows(rows: Vec<Vec<Option<Vec<u8>>>>) -> Done {
        Done { tag: format!("SELECT {}", rows.len()), rows: Some(rows), ..Done::default() }
    }
}

/// `[pg_catalog.]name(argument, …), …`
fn calls(mut rest: &[Token]) -> Option<Vec<(String, Vec<Vec<Token>>)>> {
    let mut all = Vec::new();
    loop {
        if let [schema, Token::Sign('.'), ..] = rest
            && schema.is("pg_catalog")
        {
            rest = &rest[2..];
        }
        let [Token::Word(name), Token::Sign('('), arguments @ ..] = rest else { return None };
        let mut split = vec![Vec::new()];
        let mut depth = 0;
        let mut end = None;
        for (at, token) in arguments.iter().enumerate() {
            match token {
                Token::Sign(')') if depth == 0 => {
                    end = Some(at);
                    break;
                }
                Token::Sign(',') if depth == 0 => split.push(Vec::new()),
                token => {
                    depth += i32::from(*token == Token::Sign('(')) - i32::from(*token == Token::Sign(')'));
                    split.last_mut()?.push(token.clone());
                }
            }
        }
        all.push((name.clone(), split));
        match &arguments[end? + 1..] {
            [] => return Some(all),
            [Token::Sign(','), more @ ..] => rest = more,
            _ => return None,
        }
    }
}

/// The first string or word in it; one that is to be decoded is.
pub(crate) fn literal(words: &[Token]) -> String {
    let text =
        words.iter().find_map(|word| if let Token::Text(text) = word { Some(text.clone()) } else { None });
    match text {
        Some(text) if words.iter().any(|word| word.is("decode")) => question::unescape(&text),
        Some(text) => text,
        None => words.first().map(name_of).unwrap_or_default(),
    }
}

fn setting_name(words: &[Token]) -> String {
    let parts = words.iter().filter(|word| !matches!(word, Token::Sign(_)));
    parts.map(|part| name_of(part).to_lowercase()).collect::<Vec<_>>().join(".")
}

fn name_of(token: &Token) -> String {
    value_of(token)
}

fn value_of(token: &Token) -> String {
    match token {
        Token::Word(text) | Token::Text(text) => text.clone(),
        Token::Sign(sign) => sign.to_string(),
    }
}

fn no_block(what: &str) -> SqlError {
    ("25P01", format!("{} can only be used in transaction blocks", what.to_uppercase()))
}

fn no_savepoint(name: &str) -> SqlError {
    ("3B001", format!("savepoint \"{name}\" does not exist"))
}

fn no_statement(name: &str) -> SqlError {
    ("26000", format!("prepared statement \"{name}\" does not exist"))
}
