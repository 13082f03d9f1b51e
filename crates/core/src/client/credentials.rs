//! What all doors together know of passwords beyond what is configured.
//!
//! Two things are worth remembering: the SCRAM secret of a plain password (hashing costs 0.4 ms), and the client
//! key a client revealed when it proved its password against a SCRAM secret: with it Howdah logs in to every
//! PostgreSQL that stores the same secret. Both are kept beside the configured secret they belong to and never
//! used with another, so a changed secret forgets them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use howdah_wire::md5;
use howdah_wire::sasl::{ClientKey, ScramSecret, mock_salt};
use howdah_wire::secret::Secret;
use zeroize::Zeroizing;

use crate::server::ServerSecret;
use crate::settings::{Database, Settings};

/// Shared by all workers; the lock is held for a look-up, never while hashing.
pub struct Credentials {
    seed: Zeroizing<[u8; 32]>,
    known: Mutex<Known>,
}

/// Both by user. Only configured users get in, so it cannot grow beyond `userlist.txt`.
#[derive(Default)]
struct Known {
    derived: BTreeMap<String, Derived>,
    learnt: BTreeMap<String, Learnt>,
}

struct Derived {
    password: Zeroizing<String>,
    secret: ScramSecret,
}

struct Learnt {
    text: Zeroizing<String>,
    client_key: ClientKey,
}

impl Credentials {
    /// Knows nothing yet. `seed` is random and stays for the life of the process: the salts shown for users who
    /// do not exist come from it.
    #[must_use]
    pub fn new(seed: [u8; 32]) -> Credentials {
        Credentials { seed: Zeroizing::new(seed), known: Mutex::default() }
    }

    /// How to log in to PostgreSQL as `user`. The password in the database's entry is for its forced user and
    /// goes before `userlist.txt`.
    #[must_use]
    pub fn server_secret(&self, settings: &Settings, entry: &Database, user: &str) -> ServerSecret {
        let forced = entry.password.as_ref().filter(|_| entry.forced_user.as_deref() == Some(user));
        match forced.or_else(|| settings.secrets.get(user)) {
            None => ServerSecret::None,
            Some(Secret::Plain(password)) if password.is_empty() => ServerSecret::None,
            Some(Secret::Plain(password)) => ServerSecret::Plain(password.clone()),
            Some(Secret::Md5(stored)) => ServerSecret::Md5(stored.clone()),
            Some(Secret::Scram(text)) => self.scram_keys(user, text),
        }
    }

    /// Forgets what belongs to secrets that are no longer configured.
    pub fn retain_for(&self, settings: &Settings) {
        let mut known = self.lock();
        known.derived.retain(|user, derived| {
            matches!(settings.secrets.get(user), Some(Secret::Plain(now)) if same(now, &derived.password))
        });
        // A database's entry may hold a copy of the secret for its forced user, but it was proved at the door,
        // that is against userlist.txt.
        known.learnt.retain(|user, learnt| {
            matches!(settings.secrets.get(user), Some(Secret::Scram(now)) if same(now, &learnt.text))
        });
    }

    /// What a SCRAM proof of this user is checked against; `None` if the secret does not allow one.
    pub(super) fn scram_secret(&self, user: &str, secret: &Secret, iterations: u32) -> Option<ScramSecret> {
        match secret {
            Secret::Scram(text) => ScramSecret::parse(text),
            Secret::Plain(password) => self.derive(user, password, iterations),
            Secret::Md5(_) => None,
        }
    }

    /// What a proof of nobody is checked against.
    pub(super) fn mock(&self, user: &str, iterations: u32) -> ScramSecret {
        ScramSecret::mock(user, &self.seed, iterations)
    }

    /// Whether a password sent in clear is the one behind a SCRAM secret. Costs a hashing each time.
    pub(super) fn check_scram(&self, user: &str, text: &str, password: &[u8]) -> bool {
        let proved = ScramSecret::parse(text).map(|secret| secret.client_key(password));
        let Some(Ok(client_key)) = proved else { return false };
        self.learn(user, text, client_key);
        true
    }

    /// Remembers the key behind a proof.
    pub(super) fn learn(&self, user: &str, text: &str, client_key: ClientKey) {
        let learnt = Learnt { text: Zeroizing::new(text.to_owned()), client_key };
        self.lock().learnt.insert(user.to_owned(), learnt);
    }

    fn scram_keys(&self, user: &str, text: &str) -> ServerSecret {
        let known = self.lock();
        let learnt = known.learnt.get(user).filter(|learnt| same(&learnt.text, text));
        match (learnt, ScramSecret::parse(text)) {
            (Some(learnt), Some(secret)) => {
                ServerSecret::Scram { client_key: learnt.client_key.clone(), server_key: secret.server_key }
            }
            _ => ServerSecret::NotYetKnown,
        }
    }

    fn derive(&self, user: &str, password: &Zeroizing<String>, iterations: u32) -> Option<ScramSecret> {
        let current =
            |derived: &&Derived| derived.secret.iterations == iterations && same(&derived.password, password);
        if let Some(derived) = self.lock().derived.get(user).filter(current) {
            return Some(derived.secret.clone());
        }
        let salt = mock_salt(user, &self.seed);
        let secret = ScramSecret::derive(password.as_bytes(), salt, iterations).ok()?;
        let derived = Derived { password: password.clone(), secret: secret.clone() };
        self.lock().derived.insert(user.to_owned(), derived);
        Some(secret)
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        // Every change is a single insert or retain: a panic elsewhere leaves nothing half done.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(…)")
    }
}

fn same(a: &str, b: &str) -> bool {
    md5::same(a, b.as_bytes())
}
