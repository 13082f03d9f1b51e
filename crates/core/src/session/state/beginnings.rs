//! How sessions of a pool begin: the settings of startup packets that PostgreSQL has accepted, each set once.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use howdah_wire::backend;

use super::literal::from_escaped;
use super::{SessionState, Start};
use crate::session::{Parameters, Tracked};

/// What a client's settings make of its session. Clients with equal settings share all of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Beginning {
    /// What RESET returns to; `None`: what the server has.
    pub start: Option<Arc<Start>>,
    /// Beside the reported settings; `None`: as every session of the pool begins.
    pub state: Option<Arc<SessionState>>,
    /// The reported settings among them; the others are unknown here until it is shared ([`Beginning::greeting`]).
    pub parameters: Parameters,
    /// The reported settings are as the client spelled them.
    pub(crate) starts_stand: bool,
    /// Settings that are without effect.
    pub ignored: Arc<[Box<str>]>,
    /// The ParameterStatus messages that greet such a client.
    pub statuses: Arc<[u8]>,
}

impl Beginning {
    /// A client that asks for nothing.
    #[must_use]
    pub fn plain(parameters: Parameters) -> Beginning {
        Beginning { parameters, ..Beginning::default() }
    }

    /// Adds the messages that greet such a client, and the settings that are as usual; `server` and `usual` are what
    /// the servers of the pool report.
    #[must_use]
    pub fn greeting(
        mut self,
        server: &[(String, String)],
        usual: &Parameters,
        tracked: &Tracked,
    ) -> Beginning {
        self.parameters.fill_from(usual);
        let start = self.start.as_deref();
        self.starts_stand = start.is_none_or(|start| self.parameters.have_values_of(start, tracked));
        let mut statuses = Vec::new();
        for (name, value) in server {
            let own = self.reported(name);
            let value = own.as_deref().unwrap_or(value.as_bytes());
            backend::write_parameter_status(&mut statuses, name.as_bytes(), value);
        }
        Beginning { statuses: statuses.into(), ..self }
    }

    /// What PostgreSQL would report of this setting, where it is other than usual.
    fn reported(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        match name {
            "is_superuser" => {
                let state = self.state.as_deref().filter(|state| state.role.is_some())?;
                Some(Cow::Borrowed(if state.superuser { b"on" } else { b"off" }))
            }
            _ => self.start.as_ref()?.get(name).map(from_escaped),
        }
    }
}

/// All beginnings of a pool's sessions.
#[derive(Debug, Default)]
pub struct Beginnings {
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    by_wish: BTreeMap<Wish, Arc<Beginning>>,
    /// Of all names, values and messages in it.
    bytes: usize,
}

type Wish = Box<[(String, String)]>;

impl Beginnings {
    /// What came of these settings, if somebody has begun with them before.
    #[must_use]
    pub fn get(&self, wish: &[(String, String)]) -> Option<Arc<Beginning>> {
        self.lock().by_wish.get(wish).cloned()
    }

    /// Keeps what came of these settings, and shares what is known already.
    pub fn keep(&self, wish: &[(String, String)], beginning: Beginning) -> Arc<Beginning> {
        let mut known = self.lock();
        if let Some(known) = known.by_wish.get(wish) {
            return Arc::clone(known);
        }
        let wished: usize = wish.iter().map(|(name, value)| name.len() + value.len()).sum();
        let bytes = wished + beginning.statuses.len();
        if known.by_wish.len() >= MAX_BEGINNINGS || known.bytes + bytes > MAX_BYTES {
            *known = Known::default();
        }
        // A state that differs in nothing but, say, the application's name is shared.
        let state = beginning.state.clone();
        let shared =
            known.by_wish.values().find(|other| other.state == state).map(|other| other.state.clone());
        let beginning = Arc::new(Beginning { state: shared.unwrap_or(state), ..beginning });
        known.bytes += bytes;
        known.by_wish.insert(wish.into(), Arc::clone(&beginning));
        beginning
    }

    /// Forgets all: what PostgreSQL thinks of them may have changed.
    pub fn forget(&self) {
        *self.lock() = Known::default();
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Most sets of settings remembered in a pool; one more, and all are tried again.
const MAX_BEGINNINGS: usize = 1_000;
/// Most bytes of names, values and messages remembered in a pool.
const MAX_BYTES: usize = 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(name: &str, value: &str) -> Vec<(String, String)> {
        vec![(name.to_owned(), value.to_owned())]
    }

    fn with_state(value: &str) -> Beginning {
        let settings = [("geqo".into(), value.into())].into();
        Beginning {
            state: Some(Arc::new(SessionState { settings, ..SessionState::default() })),
            ..Beginning::default()
        }
    }

    #[test]
    fn equal_settings_share_one_allocation() {
        let beginnings = Beginnings::default();
        let one = beginnings.keep(&wish("geqo", "off"), with_state("off"));
        assert!(Arc::ptr_eq(&one, &beginnings.keep(&wish("geqo", "off"), with_state("off"))));
        assert!(Arc::ptr_eq(&one, &beginnings.get(&wish("geqo", "off")).unwrap()));
        let other = beginnings.keep(&wish("GEQO", "0"), with_state("off"));
        assert!(Arc::ptr_eq(one.state.as_ref().unwrap(), other.state.as_ref().unwrap()));
        assert_eq!(beginnings.get(&wish("geqo", "on")), None);
        beginnings.forget();
        assert_eq!(beginnings.get(&wish("geqo", "off")), None);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let beginnings = Beginnings::default();
        for n in 0..=MAX_BEGINNINGS {
            beginnings.keep(&wish("application_name", &n.to_string()), Beginning::default());
        }
        assert_eq!(beginnings.lock().by_wish.len(), 1);
        let long = "x".repeat(MAX_BYTES / 2);
        for name in ["a.a", "a.b", "a.c"] {
            beginnings.keep(&wish(name, &long), Beginning::default());
        }
        assert!(beginnings.lock().bytes <= MAX_BYTES);
    }
}
