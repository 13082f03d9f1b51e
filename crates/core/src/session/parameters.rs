//! The settings that follow the client from server connection to server connection.
//!
//! PostgreSQL reports changes of some settings by ParameterStatus; those can be followed exactly. Which
//! ones are followed is fixed at start ([`Tracked`]): PgBouncer's five and `track_extra_parameters`.

use std::sync::Arc;

use super::Start;
use super::state::{from_escaped, push_identifier, push_literal};

/// Values of the tracked settings, of one client or of one server connection. Those that have the same share
/// them, so that most comparisons are of pointers and an idle client keeps none of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parameters {
    /// In the order of [`Tracked`]; `None`: not known.
    values: Arc<[Option<Arc<str>>]>,
}

/// The names of the settings that follow the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tracked {
    names: Vec<Box<str>>,
}

impl Parameters {
    /// All unknown.
    #[must_use]
    pub fn new(tracked: &Tracked) -> Parameters {
        Parameters { values: vec![None; tracked.names.len()].into() }
    }

    /// The value at `index`.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<&Arc<str>> {
        self.values.get(index)?.as_ref()
    }

    /// PostgreSQL tells how this setting is. What is only wished to be followed (`track_extra_parameters`) it may
    /// keep to itself.
    pub(super) fn reports(&self, tracked: &Tracked, name: &str) -> bool {
        tracked.index(name).is_some_and(|index| self.get(index).is_some())
    }

    /// Notes a value; true if it is another than before.
    pub fn set(&mut self, index: usize, value: &str) -> bool {
        if self.values.get(index).is_none_or(|known| known.as_deref() == Some(value)) {
            return false;
        }
        if let Some(place) = Arc::make_mut(&mut self.values).get_mut(index) {
            *place = Some(value.into());
        }
        true
    }

    /// Takes over every value that is unknown here.
    pub fn fill_from(&mut self, other: &Parameters) {
        if self.is_shared_with(other) || self.values.iter().all(Option::is_some) {
            return;
        }
        for (mine, theirs) in Arc::make_mut(&mut self.values).iter_mut().zip(other.values.iter()) {
            if mine.is_none() {
                mine.clone_from(theirs);
            }
        }
    }

    /// Appends the values that decide how the literals of a statement are read.
    pub fn write_meaning(&self, out: &mut Vec<u8>) {
        for value in self.values.iter().take(APPLICATION_NAME) {
            out.extend_from_slice(value.as_ref().map_or(&b""[..], |value| value.as_bytes()));
            out.push(0);
        }
    }

    /// Indices and values, as far as they are known.
    pub fn iter(&self) -> impl Iterator<Item = (usize, &str)> {
        self.values.iter().enumerate().filter_map(|(index, value)| Some((index, value.as_deref()?)))
    }

    /// Indices where the client wants something that the server does not have.
    pub fn differing<'a>(&'a self, server: &'a Parameters) -> impl Iterator<Item = (usize, &'a str)> {
        let mine = if self.is_shared_with(server) { &[] } else { &self.values[..] };
        mine.iter().zip(server.values.iter()).enumerate().filter_map(|(index, (mine, theirs))| match mine {
            Some(mine) if !theirs.as_ref().is_some_and(|t| Arc::ptr_eq(mine, t) || mine == t) => {
                Some((index, mine.as_ref()))
            }
            _ => None,
        })
    }

    /// Each setting that begins with a value here has that value.
    pub(super) fn have_values_of(&self, start: &Start, tracked: &Tracked) -> bool {
        self.iter().all(|(index, value)| {
            let start = tracked.name(index).and_then(|name| start.get(name));
            start.is_none_or(|start| *from_escaped(start) == *value.as_bytes())
        })
    }

    /// They are the same, and it shows at a glance.
    #[inline]
    #[must_use]
    pub fn is_shared_with(&self, other: &Parameters) -> bool {
        Arc::ptr_eq(&self.values, &other.values)
    }

    /// Shares the other's values, or gives it these to share, if all are equal. Always those at the lower address: so
    /// all clients and servers with the same values end with one and the same allocation, whoever meets whom.
    #[inline]
    pub fn agree_with(&mut self, other: &mut Parameters) {
        if !self.is_shared_with(other) && self.values == other.values {
            if self.values.as_ptr() < other.values.as_ptr() {
                other.values = Arc::clone(&self.values);
            } else {
                self.values = Arc::clone(&other.values);
            }
        }
    }
}

impl Tracked {
    /// PgBouncer's five and those of `track_extra_parameters`.
    #[must_use]
    pub fn new(extra: &[String]) -> Tracked {
        let mut names: Vec<Box<str>> = ALWAYS.iter().map(|&name| name.into()).collect();
        for name in extra {
            if !names.iter().any(|known| known.eq_ignore_ascii_case(name)) {
                names.push(name.as_str().into());
            }
        }
        Tracked { names }
    }

    /// Place of the setting with this name (case does not matter, as in PostgreSQL).
    #[must_use]
    pub fn index(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|known| known.eq_ignore_ascii_case(name))
    }

    /// Name of the setting at `index`.
    #[must_use]
    pub fn name(&self, index: usize) -> Option<&str> {
        self.names.get(index).map(AsRef::as_ref)
    }

    /// Place of `application_name`.
    #[must_use]
    pub fn application_name(&self) -> usize {
        APPLICATION_NAME
    }

    /// Writes one query that gives a server the client's values: those that are `usual` there by RESET, so that they
    /// do not look as if somebody had set them, others by `set_config`, which takes any value as a plain string.
    #[must_use]
    pub fn set_query<'a>(
        &self,
        usual: impl Fn(usize, &str) -> bool,
        wanted: impl Iterator<Item = (usize, &'a str)>,
    ) -> Vec<u8> {
        let (mut resets, mut sets) = (Vec::new(), Vec::new());
        for (index, value) in wanted {
            let Some(name) = self.name(index) else { continue };
            if usual(index, value) {
                resets.extend_from_slice(if resets.is_empty() { b"RESET " } else { b"; RESET " });
                push_identifier(&mut resets, name);
                continue;
            }
            sets.extend_from_slice(if sets.is_empty() { b"SELECT " } else { b", " });
            sets.extend_from_slice(b"pg_catalog.set_config(");
            push_literal(&mut sets, name);
            sets.extend_from_slice(b", ");
            push_literal(&mut sets, value);
            sets.extend_from_slice(b", false)");
        }
        if !resets.is_empty() && !sets.is_empty() {
            resets.extend_from_slice(b"; ");
        }
        resets.append(&mut sets);
        resets
    }
}

const ALWAYS: [&str; 5] =
    ["client_encoding", "DateStyle", "TimeZone", "standard_conforming_strings", "application_name"];
const APPLICATION_NAME: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_meets_whom_all_with_the_same_values_share_them_in_the_end() {
        let tracked = Tracked::new(&[]);
        let with = |name: &str| {
            let mut parameters = Parameters::new(&tracked);
            parameters.set(tracked.application_name(), name);
            parameters
        };
        let mut clients: Vec<Parameters> = (0..4).map(|_| with("psql")).collect();
        let mut servers: Vec<Parameters> = (0..3).map(|_| with("psql")).collect();
        for _ in 0..clients.len() + servers.len() {
            for client in &mut clients {
                servers.iter_mut().for_each(|server| client.agree_with(server));
            }
        }
        assert!(clients.iter().chain(&servers).all(|one| one.is_shared_with(&clients[0])));

        let mut other = with("pgbench");
        clients[0].agree_with(&mut other);
        assert!(!other.is_shared_with(&clients[0]));
        assert_eq!((&clients[0], &other), (&with("psql"), &with("pgbench")));
    }

    #[test]
    fn only_what_the_client_wants_otherwise_is_set() {
        let tracked = Tracked::new(&["IntervalStyle".to_owned(), "timezone".to_owned()]);
        let (mut client, mut server) = (Parameters::new(&tracked), Parameters::new(&tracked));
        for (index, value) in ["UTF8", "ISO, MDY", "UTC", "on", "", "postgres"].iter().enumerate() {
            server.set(index, value);
        }
        client.set(tracked.index("datestyle").unwrap(), "German");
        client.set(tracked.application_name(), r"o'clock\");
        let query = tracked.set_query(|_, _| false, client.differing(&server));
        assert_eq!(
            String::from_utf8(query).unwrap(),
            r"SELECT pg_catalog.set_config('DateStyle', 'German', false), pg_catalog.set_config('application_name',  E'o''clock\\', false)"
        );
        client.fill_from(&server);
        assert_eq!(client.differing(&server).count(), 2);
        assert!(tracked.set_query(|_, _| false, std::iter::empty()).is_empty());
        client.set(tracked.application_name(), "psql");
        let query = tracked.set_query(|index, _| index == 1, client.differing(&server));
        assert_eq!(
            String::from_utf8(query).unwrap(),
            r#"RESET "DateStyle"; SELECT pg_catalog.set_config('application_name', 'psql', false)"#
        );
    }
}
