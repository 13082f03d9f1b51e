//! The question what a server connection's session looks like, and the rows of its answer.
//!
//! Everything in it is schema-qualified, operators too: it runs under the client's own `search_path`. Tried on
//! PostgreSQL: `pg_settings` shows neither roles nor custom parameters, and `transaction_*` stay listed for
//! ever after BEGIN ISOLATION LEVEL; a temp schema outlives its objects (DISCARD TEMP), but they depend on it.

use std::collections::{BTreeMap, BTreeSet};

use super::literal::{escaping, push_literal};
use super::{Asks, Doubts, Rights, SessionState};

/// A question under way, and what has been answered.
#[derive(Debug)]
pub(crate) struct Look {
    /// What it is about.
    pub(crate) about: Doubts,
    /// It failed.
    pub(crate) failed: bool,
    named: BTreeMap<Box<str>, Option<Box<str>>>,
    set: BTreeMap<Box<str>, Box<str>>,
    role: Box<str>,
    authorization: Box<str>,
    superuser: bool,
    /// A setting that who logged in may not make.
    pub(crate) privileged: Option<Box<str>>,
    /// Prepared statements that SQL knows by the client's names: those of PREPARE with their text.
    pub(crate) statements: BTreeMap<Box<[u8]>, Option<Box<[u8]>>>,
    /// Channels listened to.
    pub(crate) channels: BTreeSet<Box<[u8]>>,
    /// A temporary object, a lock, a cursor, a slot that lives there.
    pub(crate) temp: Option<Box<str>>,
    pub(crate) lock: Option<Box<str>>,
    pub(crate) cursor: Option<Box<str>>,
    pub(crate) slot: Option<Box<str>>,
}

impl Look {
    /// A question about `about`; `known`: custom parameters, which are in no list of PostgreSQL's; `rights`: of who
    /// logged in.
    pub(crate) fn new(about: Doubts, known: &[&str], rights: Rights) -> (Look, Vec<u8>) {
        let query = question(&about, known, rights);
        let look = Look {
            about,
            failed: false,
            named: BTreeMap::new(),
            set: BTreeMap::new(),
            role: "none".into(),
            authorization: "".into(),
            superuser: false,
            privileged: None,
            statements: BTreeMap::new(),
            channels: BTreeSet::new(),
            temp: None,
            lock: None,
            cursor: None,
            slot: None,
        };
        (look, query)
    }

    /// A DataRow's body. `None`: it is not of this question.
    pub(crate) fn row(&mut self, body: &[u8]) -> Option<()> {
        let mut rest = body.get(2..)?;
        let kind = field(&mut rest)??;
        let name = field(&mut rest)??;
        let value = field(&mut rest)?;
        let text = |bytes: &[u8]| -> Box<str> { String::from_utf8_lossy(bytes).into() };
        // PostgreSQL has `IntervalStyle`, texts and startup packets any spelling.
        let lower = |bytes: &[u8]| -> Box<str> { text(bytes).to_ascii_lowercase().into() };
        match kind {
            b"n" => drop(self.named.insert(lower(name), value.map(text))),
            b"s" => drop(self.set.insert(lower(name), text(value?))),
            b"u" => {
                self.set.insert(lower(name), text(value?));
                self.privileged = Some(text(name));
            }
            b"r" => match name {
                b"role" => self.role = text(value?),
                b"session_authorization" => self.authorization = text(value?),
                _ => self.superuser = value? == b"on",
            },
            b"p" => drop(self.statements.insert(name.into(), Some(value?.into()))),
            b"q" => drop(self.statements.insert(name.into(), None)),
            b"h" => drop(self.channels.insert(name.into())),
            b"t" => self.temp = Some(text(name)),
            b"l" => self.lock = Some(text(name)),
            b"c" => self.cursor = Some(text(name)),
            b"x" => self.slot = Some(text(name)),
            _ => return None,
        }
        Some(())
    }

    /// The session's state by this answer; `before`: as it was known. `followed`: the name of a setting that
    /// PostgreSQL reports, which is followed elsewhere; `login`: who the connection logged in as.
    pub(crate) fn state(
        &self,
        before: Option<&SessionState>,
        followed: impl Fn(&str) -> bool,
        login: Option<&str>,
    ) -> SessionState {
        let mut state = before.cloned().unwrap_or_default();
        let asked = self.about.asks;
        if asked.has(Asks::SETTINGS) {
            state.settings.clear();
        }
        for (name, value) in &self.named {
            let custom = name.contains('.');
            match value {
                // All settings were asked for: what is not among those set in this session has been reset.
                _ if asked.has(Asks::SETTINGS) && !custom => {}
                Some(value) if !(custom && value.is_empty() && self.is_left_over(name, before)) => {
                    state.settings.insert(name.clone(), value.clone());
                }
                _ => drop(state.settings.remove(name)),
            }
        }
        for (name, value) in &self.set {
            state.settings.insert(name.clone(), value.clone());
        }
        state.settings.retain(|name, _| !followed(name));
        if asked.has(Asks::ROLE) {
            state.role = Some(self.role.clone()).filter(|role| &**role != "none");
            state.authorization =
                Some(self.authorization.clone()).filter(|name| Some(&**name) != login && !name.is_empty());
            state.superuser = self.superuser && (state.role.is_some() || state.authorization.is_some());
        }
        state
    }

    /// An empty custom parameter is what is left of one that was reset, or whose first SET was taken back.
    fn is_left_over(&self, name: &str, before: Option<&SessionState>) -> bool {
        let was_there = before.is_some_and(|state| state.settings.contains_key(name));
        self.about.may_reset(name) || self.about.is_undone() && !was_there
    }

    /// Custom parameters that PostgreSQL knows here.
    pub(crate) fn known_names(&self) -> impl Iterator<Item = &str> {
        self.custom().filter_map(|(name, value)| value.map(|_| name))
    }

    /// Those of them that have no value.
    pub(crate) fn bare_names(&self) -> impl Iterator<Item = &str> {
        self.custom().filter_map(|(name, value)| value.filter(|value| value.is_empty()).map(|_| name))
    }

    fn custom(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        let named = self.named.iter().map(|(name, value)| (&**name, value.as_deref()));
        named.filter(|(name, _)| name.contains('.'))
    }

    /// Whether the answer tells that this setting has its server's own value again.
    pub(crate) fn is_reset(&self, name: &str) -> bool {
        let custom = name.contains('.');
        match self.named.get(name) {
            Some(value) if custom => value.as_deref().is_none_or(str::is_empty),
            _ => self.about.asks.has(Asks::SETTINGS) && !custom && !self.set.contains_key(name),
        }
    }
}

/// One query: a statement for each kind of question, each with three columns.
fn question(about: &Doubts, known: &[&str], rights: Rights) -> Vec<u8> {
    let mut query = Vec::new();
    let mut names: Vec<&str> = about.names.iter().map(AsRef::as_ref).collect();
    if about.asks.has(Asks::SETTINGS) {
        names.retain(|name| name.contains('.'));
        for &name in known.iter().filter(|name| name.contains('.')) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }
    names.retain(|name| !matches!(*name, "role" | "session_authorization"));
    for name in names {
        query.extend_from_slice(b"SELECT 'n', ");
        push_literal(&mut query, name);
        let mut setting = b"pg_catalog.current_setting(".to_vec();
        push_literal(&mut setting, name);
        setting.extend_from_slice(b", true)");
        query.extend_from_slice(b", ");
        query.extend_from_slice(escaping(&String::from_utf8_lossy(&setting)).as_bytes());
        query.extend_from_slice(b"; ");
    }
    let setting = |name: &str| escaping(&format!("pg_catalog.current_setting({name})"));
    // Whoever gives up a role may be left with settings that needed it.
    if about.asks.has(Asks::SETTINGS) || about.asks.has(Asks::ROLE) && rights.lacking().is_some() {
        let value = setting("s.name");
        let kind =
            rights.lacking().map_or("'s'".to_owned(), |it| format!("CASE WHEN {it} THEN 'u' ELSE 's' END"));
        let only = rights.lacking().filter(|_| !about.asks.has(Asks::SETTINGS));
        let only = only.map_or(String::new(), |it| format!("AND {it} "));
        query.extend_from_slice(
            format!(
                "SELECT {kind}, s.name, {value} FROM pg_catalog.pg_show_all_settings() AS s \
                 WHERE s.source OPERATOR(pg_catalog.=) 'session' {only}\
                 AND pg_catalog.left(s.name, 12) OPERATOR(pg_catalog.<>) 'transaction_'; "
            )
            .as_bytes(),
        );
    }
    if about.asks.has(Asks::ROLE) {
        for name in ["role", "session_authorization", "is_superuser"] {
            let value = setting(&format!("'{name}'"));
            query.extend_from_slice(format!("SELECT 'r', '{name}', {value}; ").as_bytes());
        }
    }
    for (asks, text) in QUESTIONS {
        if about.asks.has(asks) {
            query.extend_from_slice(text.as_bytes());
        }
    }
    query
}

/// A field of a DataRow; `Some(None)`: NULL.
pub(in crate::session) fn field<'a>(rest: &mut &'a [u8]) -> Option<Option<&'a [u8]>> {
    let (len, after) = rest.split_first_chunk::<4>()?;
    *rest = after;
    let Ok(len) = usize::try_from(i32::from_be_bytes(*len)) else { return Some(None) };
    let (value, after) = rest.split_at_checked(len)?;
    *rest = after;
    Some(Some(value))
}

const QUESTIONS: [(Asks, &str); 6] = [
    (
        Asks::STATEMENTS,
        "SELECT CASE WHEN p.from_sql THEN 'p' ELSE 'q' END, p.name, p.statement \
         FROM pg_catalog.pg_prepared_statement() AS p \
         WHERE pg_catalog.left(p.name, 7) OPERATOR(pg_catalog.<>) 'HOWDAH_'; ",
    ),
    (
        Asks::TEMP,
        "SELECT 't', pg_catalog.pg_describe_object(d.classid, d.objid, d.objsubid), '' \
         FROM pg_catalog.pg_depend AS d \
         WHERE d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_namespace'::pg_catalog.regclass \
         AND d.refobjid OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema() LIMIT 1; ",
    ),
    (
        Asks::LOCKS,
        "SELECT 'l', pg_catalog.concat_ws(' ', l.classid, l.objid), '' FROM pg_catalog.pg_lock_status() AS l \
         WHERE l.locktype OPERATOR(pg_catalog.=) 'advisory' \
         AND l.pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid() LIMIT 1; ",
    ),
    (Asks::CURSORS, "SELECT 'c', c.name, '' FROM pg_catalog.pg_cursor() AS c WHERE c.is_holdable LIMIT 1; "),
    (Asks::CHANNELS, "SELECT 'h', c, '' FROM pg_catalog.pg_listening_channels() AS c; "),
    (
        Asks::SLOTS,
        "SELECT 'x', s.slot_name, '' FROM pg_catalog.pg_get_replication_slots() AS s WHERE s.temporary \
         AND s.active_pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid() LIMIT 1; ",
    ),
];
