//! What all doors together know of passwords beyond what is configured.
//!
//! Three things are worth remembering: the SCRAM secret of a plain password (hashing costs 0.4 ms), what a login
//! to PostgreSQL hashed of a plain password for the salt shown there, and the client key a client revealed when
//! it proved its password against a SCRAM secret: with it Howdah logs in to every PostgreSQL that stores the same
//! secret. Each is kept beside the configured secret it belongs to and never used with another, so a changed
//! secret forgets it.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use howdah_wire::md5;
use howdah_wire::sasl::{ClientKey, DerivedKeys, ScramSecret, mock_salt};
use howdah_wire::secret::Secret;
use zeroize::Zeroizing;

use crate::server::ServerSecret;
use crate::settings::{Database, Settings};

/// Shared by all workers; the lock is held for a look-up, never while hashing.
pub struct Credentials {
    seed: Zeroizing<[u8; 32]>,
    known: Mutex<Known>,
}

/// By user. Only who has a configured secret gets in, here or at a server, so it cannot grow beyond these.
#[derive(Default)]
struct Known {
    derived: BTreeMap<String, Derived>,
    at_servers: BTreeMap<String, VecDeque<Arc<DerivedKeys>>>,
    learnt: BTreeMap<String, Learnt>,
}

impl Known {
    fn derived_of(&self, user: &str, password: &str, iterations: u32) -> Option<&Derived> {
        let derived = self.derived.get(user)?;
        (derived.iterations == iterations && same(&derived.password, password)).then_some(derived)
    }
}

struct Derived {
    password: Zeroizing<String>,
    iterations: u32,
    /// Filled by the first who asks; the others wait for it instead of hashing the same.
    secret: Arc<OnceLock<Option<ScramSecret>>>,
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
            Some(Secret::Plain(password)) => {
                ServerSecret::Plain { password: password.clone(), derived: self.at_servers(user, password) }
            }
            Some(Secret::Md5(stored)) => ServerSecret::Md5(stored.clone()),
            Some(Secret::Scram(text)) => self.scram_keys(user, text),
        }
    }

    /// Remembers what a successful login to PostgreSQL as `user` had to hash.
    pub fn remember(&self, user: &str, keys: Arc<DerivedKeys>) {
        let mut known = self.lock();
        let all = known.at_servers.entry(user.to_owned()).or_default();
        // Logins that began together have hashed the same.
        if all.contains(&keys) {
            return;
        }
        if all.len() >= MAX_SALTS {
            all.pop_front();
        }
        all.push_back(keys);
    }

    /// Forgets what belongs to secrets that are no longer configured.
    pub fn retain_for(&self, settings: &Settings) {
        let entries: Vec<&Database> = settings.databases.values().chain(&settings.any_database).collect();
        let mut known = self.lock();
        known.at_servers.retain(|user, all| {
            let forced = |entry: &&&Database| entry.forced_user.as_deref() == Some(user);
            let of_entries = entries.iter().filter(forced).filter_map(|entry| entry.password.as_ref());
            let configured: Vec<&Secret> = of_entries.chain(settings.secrets.get(user)).collect();
            all.retain(|keys| {
                configured.iter().any(|secret| matches!(secret, Secret::Plain(now) if keys.is_of(now)))
            });
            !all.is_empty()
        });
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
            Secret::Plain(password) => self.derive_once(user, password, iterations, || {
                ScramSecret::derive(password.as_bytes(), mock_salt(user, &self.seed), iterations).ok()
            }),
            Secret::Md5(_) => None,
        }
    }

    /// What a proof against this password is checked against has been hashed already.
    pub(super) fn has_derived(&self, user: &str, password: &str, iterations: u32) -> bool {
        let known = self.lock();
        known.derived_of(user, password, iterations).is_some_and(|derived| derived.secret.get().is_some())
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

    fn at_servers(&self, user: &str, password: &str) -> Vec<Arc<DerivedKeys>> {
        let known = self.lock();
        let all = known.at_servers.get(user).into_iter().flatten();
        all.filter(|keys| keys.is_of(password)).cloned().collect()
    }

    /// However many come at once for the same user, one of them hashes.
    fn derive_once(
        &self,
        user: &str,
        password: &Zeroizing<String>,
        iterations: u32,
        hash: impl FnOnce() -> Option<ScramSecret>,
    ) -> Option<ScramSecret> {
        let secret = {
            let mut known = self.lock();
            match known.derived_of(user, password, iterations) {
                Some(derived) => Arc::clone(&derived.secret),
                None => {
                    let secret = Arc::default();
                    let derived =
                        Derived { password: password.clone(), iterations, secret: Arc::clone(&secret) };
                    known.derived.insert(user.to_owned(), derived);
                    secret
                }
            }
        };
        secret.get_or_init(hash).clone()
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        // A panic between two changes would at worst have forgotten something.
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

/// How many servers' salts are remembered for one user. A server that shows a new one each time gains nothing.
const MAX_SALTS: usize = 8;

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn who_comes_while_the_secret_is_being_hashed_waits_for_it() {
        const STORM: usize = 8;
        let credentials = Credentials::new([1; 32]);
        let (together, hashed) = (Barrier::new(STORM), AtomicUsize::new(0));
        let ask = |user: &str, password: &str, iterations: u32| {
            let password = Zeroizing::new(password.to_owned());
            credentials.derive_once(user, &password, iterations, || {
                hashed.fetch_add(1, Ordering::SeqCst);
                ScramSecret::derive(password.as_bytes(), vec![1; 16], iterations).ok()
            })
        };
        let secrets: Vec<_> = std::thread::scope(|scope| {
            let storm: Vec<_> = (0..STORM)
                .map(|_| {
                    scope.spawn(|| {
                        together.wait();
                        ask("ann", "pencil", 4096)
                    })
                })
                .collect();
            storm.into_iter().map(|one| one.join().unwrap()).collect()
        });
        assert_eq!(hashed.load(Ordering::SeqCst), 1);
        let right = ScramSecret::derive(b"pencil", vec![1; 16], 4096).ok();
        assert!(secrets.iter().all(|secret| *secret == right));

        for (user, password, iterations) in [("bob", "pencil", 4), ("bob", "crayon", 4), ("bob", "crayon", 5)]
        {
            let before = hashed.load(Ordering::SeqCst);
            ask(user, password, iterations);
            assert_eq!(hashed.load(Ordering::SeqCst), before + 1, "nobody gets what belongs to others");
        }
    }
}
