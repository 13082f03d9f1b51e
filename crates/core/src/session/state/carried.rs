//! Settings and roles, as PostgreSQL spells them, and how one session is turned into another.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::listen::Channel;
use crate::pool::Guise;

use super::literal::{push_escaped, push_identifier};

/// What has been set in a session beyond what every session of its pool begins with. Settings that
/// PostgreSQL reports are not here but in [`Parameters`](super::super::Parameters).
///
/// Values are in PostgreSQL's `escape` format of the database's encoding.
#[derive(Clone, Debug, Default, Eq)]
pub struct SessionState {
    /// By name, in lower case.
    pub settings: BTreeMap<Box<str>, Box<str>>,
    /// SET ROLE; `None`: none.
    pub role: Option<Box<str>>,
    /// SET SESSION AUTHORIZATION; `None`: as logged in.
    pub authorization: Option<Box<str>>,
    /// LISTEN.
    pub channels: BTreeSet<Channel>,
    /// The role in force is a superuser.
    pub superuser: bool,
    /// As it was when it was shared.
    pub(super) guise: Guise,
}

impl PartialEq for SessionState {
    fn eq(&self, other: &SessionState) -> bool {
        let SessionState { settings, role, authorization, channels, superuser, guise: _ } = self;
        *settings == other.settings
            && *role == other.role
            && *authorization == other.authorization
            && *channels == other.channels
            && *superuser == other.superuser
    }
}

/// The settings a client has asked for in its startup packet, as PostgreSQL spells them.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Start {
    /// Without the role. Names in lower case; values in `escape` format.
    pub settings: Vec<(Box<str>, Box<str>)>,
}

/// A query that turns the session of a server connection into the client's.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::session) struct Replay {
    /// Empty: there is nothing to do.
    pub(in crate::session) query: Vec<u8>,
    /// Who the client is changes: nothing of the client's may be sent before that has succeeded, or it
    /// would run as somebody else.
    pub(in crate::session) changes_role: bool,
}

impl SessionState {
    /// As every session of the pool begins.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        *self == SessionState::default()
    }

    /// What it looks like in short.
    #[must_use]
    pub fn guise(&self) -> Guise {
        self.guise
    }

    /// It acts as somebody else than who logged in.
    fn has_role(&self) -> bool {
        self.role.is_some() || self.authorization.is_some()
    }

    /// Appends what decides the meaning of prepared statements: the same text under another `search_path` or
    /// role is another statement.
    pub fn write_meaning(&self, out: &mut Vec<u8>) {
        let settings = MEANING.iter().map(|&name| self.settings.get(name));
        let parts = settings.chain([self.role.as_ref(), self.authorization.as_ref()]);
        for (place, part) in (b'a'..).zip(parts) {
            if let Some(part) = part {
                out.push(place);
                out.extend_from_slice(part.as_bytes());
                out.push(0);
            }
        }
    }
}

impl Replay {
    /// From what the server connection has to what the client has, beside the reported settings: the query that
    /// sees to those comes first (`reported`, which may be empty).
    #[must_use]
    pub(in crate::session) fn new(
        has: Option<&SessionState>,
        wants: Option<&SessionState>,
        reported: Vec<u8>,
    ) -> Replay {
        let plain = SessionState::default();
        let (has, wants) = (has.unwrap_or(&plain), wants.unwrap_or(&plain));
        let mut query = reported;
        if has == wants {
            return Replay { query, changes_role: false };
        }
        let changes_role = has.role != wants.role || has.authorization != wants.authorization;
        let has_role = has.has_role() || wants.has_role();
        // Settings that only a superuser may make were made by the one who logged in, unless the role is one.
        let settings_first = has_role && !wants.superuser;
        if has_role {
            if settings_first && has.superuser {
                // Nobody else may take back what a superuser has set.
                push_resets(&mut query, has, wants);
            }
            statement(&mut query, b"SELECT pg_catalog.set_config('role', 'none', false)");
            if has.authorization.is_some() {
                statement(&mut query, b"RESET SESSION AUTHORIZATION");
            }
        }
        if settings_first || !has_role {
            if !(settings_first && has.superuser) {
                push_resets(&mut query, has, wants);
            }
            push_settings(&mut query, has, wants);
        }
        for (name, value) in [("session_authorization", &wants.authorization), ("role", &wants.role)] {
            if let Some(value) = value {
                statement(&mut query, b"SELECT ");
                push_set_config(&mut query, name, value);
            }
        }
        if has_role && !settings_first {
            push_resets(&mut query, has, wants);
            push_settings(&mut query, has, wants);
        }
        push_channels(&mut query, has, wants);
        Replay { query, changes_role: changes_role || has_role }
    }
}

/// RESET of what the client does not have.
fn push_resets(query: &mut Vec<u8>, has: &SessionState, wants: &SessionState) {
    for name in has.settings.keys().filter(|name| !wants.settings.contains_key(*name)) {
        statement(query, b"RESET ");
        for (index, part) in name.split('.').enumerate() {
            if index > 0 {
                query.push(b'.');
            }
            push_identifier(query, part);
        }
    }
}

/// `set_config` of what the client has and the server connection does not.
fn push_settings(query: &mut Vec<u8>, has: &SessionState, wants: &SessionState) {
    let mut first = true;
    for (name, value) in &wants.settings {
        if has.settings.get(name) == Some(value) {
            continue;
        }
        if std::mem::take(&mut first) {
            statement(query, b"SELECT ");
        } else {
            query.extend_from_slice(b", ");
        }
        push_set_config(query, name, value);
    }
}

/// LISTEN to what the server connection does not listen to; if it listens to more, to everything anew.
fn push_channels(query: &mut Vec<u8>, has: &SessionState, wants: &SessionState) {
    let none = BTreeSet::new();
    let known = if has.channels.is_subset(&wants.channels) {
        &has.channels
    } else {
        statement(query, b"UNLISTEN *");
        &none
    };
    for channel in wants.channels.difference(known) {
        statement(query, b"");
        channel.write("LISTEN", query);
    }
}

/// A call that sets one setting, given its value in `escape` format.
fn push_set_config(query: &mut Vec<u8>, name: &str, value: &str) {
    query.extend_from_slice(b"pg_catalog.set_config(");
    super::push_literal(query, name);
    query.extend_from_slice(b", ");
    push_escaped(query, value);
    query.extend_from_slice(b", false)");
}

fn statement(query: &mut Vec<u8>, text: &[u8]) {
    if !query.is_empty() {
        query.extend_from_slice(b"; ");
    }
    query.extend_from_slice(text);
}

impl Start {
    /// The value the client began with.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.settings.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| &**value)
    }

    /// A query that gives these settings their start values again, as far as `reset` asks for them, and then this
    /// role; empty: none of them.
    #[must_use]
    pub fn correction(&self, reset: impl Fn(&str) -> bool, role: Option<&str>) -> Vec<u8> {
        let mut query = Vec::new();
        let settings = self.settings.iter().filter(|(name, _)| reset(name));
        let settings = settings.map(|(name, value)| (&**name, &**value));
        for (name, value) in settings.chain(role.map(|role| ("role", role))) {
            query.extend_from_slice(if query.is_empty() { b"SELECT " } else { b", " });
            push_set_config(&mut query, name, value);
        }
        query
    }
}

/// The state as it is shared: nothing is allocated for a plain one.
#[must_use]
pub(in crate::session) fn share(mut state: SessionState) -> Option<Arc<SessionState>> {
    if state.is_plain() {
        return None;
    }
    let role = state.has_role().then_some((&state.role, &state.authorization));
    state.guise = Guise::new(role, (&state.settings, &state.channels));
    Some(Arc::new(state))
}

/// Cheap where nothing has changed: the two share one state.
#[inline]
pub(in crate::session) fn same(one: Option<&Arc<SessionState>>, other: Option<&Arc<SessionState>>) -> bool {
    match (one, other) {
        (None, None) => true,
        (Some(one), Some(other)) => Arc::ptr_eq(one, other) || one == other,
        _ => false,
    }
}

/// Settings beside the reported ones that decide what a statement means.
const MEANING: [&str; 7] = [
    "search_path",
    "intervalstyle",
    "backslash_quote",
    "transform_null_equals",
    "array_nulls",
    "xmloption",
    "plpgsql.variable_conflict",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn state(settings: &[(&str, &str)]) -> SessionState {
        let settings = settings.iter().map(|&(name, value)| (name.into(), value.into())).collect();
        SessionState { settings, ..SessionState::default() }
    }

    fn replay(has: &SessionState, wants: &SessionState) -> String {
        String::from_utf8(Replay::new(Some(has), Some(wants), Vec::new()).query).unwrap()
    }

    #[test]
    fn what_is_foreign_is_reset_and_what_is_missing_is_set() {
        let has = state(&[("geqo", "off"), ("app.\"x", "1"), ("work_mem", "1MB"), ("same", "1")]);
        let wants = state(&[("work_mem", "2MB"), ("search_path", r"\303\251, o'x"), ("same", "1")]);
        assert_eq!(
            replay(&has, &wants),
            "RESET \"app\".\"\"\"x\"; RESET \"geqo\"; SELECT pg_catalog.set_config('search_path', \
             pg_catalog.convert_from(pg_catalog.decode( E'\\\\303\\\\251, o''x', 'escape'), \
             pg_catalog.getdatabaseencoding()), false), pg_catalog.set_config('work_mem', '2MB', false)"
        );
        assert_eq!(replay(&has, &has), "");
    }

    /// A setting only a superuser may make, then a role that is none: it has to be made before the role.
    #[test]
    fn settings_are_made_by_who_logged_in_unless_the_role_is_a_superuser() {
        let mut wants = state(&[("log_statement", "all")]);
        wants.role = Some("ann".into());
        let set = "SELECT pg_catalog.set_config('log_statement', 'all', false)";
        let none = "SELECT pg_catalog.set_config('role', 'none', false)";
        let role = "SELECT pg_catalog.set_config('role', 'ann', false)";
        assert_eq!(replay(&SessionState::default(), &wants), format!("{none}; {set}; {role}"));
        wants.superuser = true;
        assert_eq!(replay(&SessionState::default(), &wants), format!("{none}; {role}; {set}"));
        // What was set under a role that is a superuser is taken back under that role.
        let reset = "RESET \"log_statement\"";
        let left = Replay::new(Some(&wants), None, Vec::new());
        assert_eq!(String::from_utf8(left.query).unwrap(), format!("{reset}; {none}"));
        let other = SessionState { authorization: Some("bob".into()), ..SessionState::default() };
        let left = Replay::new(Some(&other), None, Vec::new());
        assert_eq!(String::from_utf8(left.query).unwrap(), format!("{none}; RESET SESSION AUTHORIZATION"));
        assert!(left.changes_role);
    }

    #[test]
    fn statements_are_known_by_what_their_texts_meant() {
        let meaning = |state: &SessionState| {
            let mut meaning = Vec::new();
            state.write_meaning(&mut meaning);
            meaning
        };
        let mut one = state(&[("work_mem", "1MB")]);
        assert!(meaning(&one).is_empty());
        one.settings.insert("search_path".into(), "a".into());
        let mut other = SessionState { role: Some("a".into()), ..SessionState::default() };
        assert_ne!(meaning(&one), meaning(&other));
        other.role = None;
        assert!(meaning(&other).is_empty());
    }
}
