//! What becomes of the state of a client's session when its server connection changes?
//!
//! Each [`StateKind`] has a [`Policy`]: it follows the client, ties it to its server connection, is told to be lost,
//! or is refused. A [`StatePolicy`] holds one for each kind; databases and users change some of them
//! ([`StateChoice`]). Detecting state, carrying it and counting pins is done in `session`.

use std::fmt;
use std::time::Duration;

use super::Settings;

/// `session_state` and what belongs to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateRules {
    /// `session_state`.
    pub policy: StatePolicy,
    /// `session_state_check`.
    pub check: StateCheck,
    /// `max_pinned`.
    pub max_pinned: MaxPinned,
    /// `pin_idle_timeout`; `None` is off.
    pub pin_idle_timeout: Option<Duration>,
}

impl StateRules {
    /// The user's word over the database's over the defaults; of `session_state`, kind by kind.
    #[must_use]
    pub fn resolve(settings: &Settings, database: &str, user: &str) -> StateRules {
        let common = settings.state;
        let database = settings.database(database).map(|d| d.state).unwrap_or_default();
        let user = settings.users.get(user).map(|u| u.state).unwrap_or_default();
        StateRules {
            policy: common.policy.with(database.kinds).with(user.kinds),
            check: user.check.or(database.check).unwrap_or(common.check),
            max_pinned: user.max_pinned.or(database.max_pinned).unwrap_or(common.max_pinned),
            pin_idle_timeout: user
                .pin_idle_timeout
                .or(database.pin_idle_timeout)
                .unwrap_or(common.pin_idle_timeout),
        }
    }
}

impl Default for StateRules {
    fn default() -> Self {
        StateRules {
            policy: StatePolicy::default(),
            check: StateCheck::Hinted,
            max_pinned: MaxPinned::AllButOne,
            pin_idle_timeout: None,
        }
    }
}

/// What a database or user says instead of the general [`StateRules`]. `None` means: as said elsewhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StateOverride {
    /// `session_state`.
    pub kinds: StateChoice,
    /// `session_state_check`.
    pub check: Option<StateCheck>,
    /// `max_pinned`.
    pub max_pinned: Option<MaxPinned>,
    /// `pin_idle_timeout`.
    pub pin_idle_timeout: Option<Option<Duration>>,
}

/// A kind of session state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StateKind {
    /// SET and whatever else changes a setting for the session.
    Settings,
    /// SET ROLE and SET SESSION AUTHORIZATION.
    Role,
    /// PREPARE in SQL. Prepared statements of the protocol are ruled by `max_prepared_statements`.
    Statements,
    /// LISTEN.
    Listen,
    /// Temporary tables, views, sequences and the like.
    Temp,
    /// Advisory locks of the session.
    Locks,
    /// Cursors WITH HOLD.
    Cursors,
    /// Temporary replication slots.
    Slots,
    /// What `currval` and `lastval` know.
    Sequences,
    /// `setseed`.
    Seed,
    /// LOAD.
    Libraries,
    /// The names of custom parameters (`app.tenant`), which PostgreSQL knows for as long as a session lasts. Their
    /// values are settings.
    Custom,
}

impl StateKind {
    /// All kinds, in the order of their declaration.
    pub const ALL: [StateKind; 12] = [
        StateKind::Settings,
        StateKind::Role,
        StateKind::Statements,
        StateKind::Listen,
        StateKind::Temp,
        StateKind::Locks,
        StateKind::Cursors,
        StateKind::Slots,
        StateKind::Sequences,
        StateKind::Seed,
        StateKind::Libraries,
        StateKind::Custom,
    ];

    /// The word used in `session_state`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            StateKind::Settings => "settings",
            StateKind::Role => "role",
            StateKind::Statements => "statements",
            StateKind::Listen => "listen",
            StateKind::Temp => "temp",
            StateKind::Locks => "locks",
            StateKind::Cursors => "cursors",
            StateKind::Slots => "slots",
            StateKind::Sequences => "sequences",
            StateKind::Seed => "seed",
            StateKind::Libraries => "libraries",
            StateKind::Custom => "custom",
        }
    }

    /// What can be done about it. The first is the default.
    #[must_use]
    pub fn policies(self) -> &'static [Policy] {
        use Policy::{Carry, Close, Pin, Refuse, Warn};
        match self {
            StateKind::Settings | StateKind::Role | StateKind::Statements | StateKind::Listen => {
                &[Carry, Pin, Warn, Refuse]
            }
            StateKind::Temp => &[Pin, Close, Warn, Refuse],
            StateKind::Locks
            | StateKind::Cursors
            | StateKind::Slots
            | StateKind::Seed
            | StateKind::Libraries => &[Pin, Warn, Refuse],
            StateKind::Sequences => &[Warn, Pin, Refuse],
            StateKind::Custom => &[Carry, Close, Warn, Refuse],
        }
    }

    /// The policy where nothing is said.
    #[must_use]
    pub fn default_policy(self) -> Policy {
        *self.policies().first().expect("something can be done about each kind")
    }

    /// Whether that can be done about it.
    #[must_use]
    pub fn allows(self, policy: Policy) -> bool {
        self.policies().contains(&policy)
    }
}

/// In the words of an operator, in the plural.
impl fmt::Display for StateKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            StateKind::Settings => "changed settings",
            StateKind::Role => "role changes",
            StateKind::Statements => "SQL-level prepared statements",
            StateKind::Listen => "LISTEN",
            StateKind::Temp => "temporary objects",
            StateKind::Locks => "session-level advisory locks",
            StateKind::Cursors => "cursors WITH HOLD",
            StateKind::Slots => "temporary replication slots",
            StateKind::Sequences => "currval and lastval",
            StateKind::Seed => "setseed",
            StateKind::Libraries => "LOAD",
            StateKind::Custom => "custom parameters",
        })
    }
}

/// What is done about a kind of state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Policy {
    /// It follows the client to other server connections, or is served aside.
    Carry,
    /// The server connection stays with the client for as long as it lives.
    Pin,
    /// The server connection stays with the client until it leaves, and is closed then.
    Close,
    /// It is allowed, and lost when the server connection goes on; the client gets a WARNING.
    Warn,
    /// The statement is refused.
    Refuse,
}

impl Policy {
    /// The word used in `session_state`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Policy::Carry => "carry",
            Policy::Pin => "pin",
            Policy::Close => "close",
            Policy::Warn => "warn",
            Policy::Refuse => "refuse",
        }
    }

    /// The server connection stays with the client beyond its transaction.
    #[must_use]
    pub fn pins(self) -> bool {
        matches!(self, Policy::Pin | Policy::Close)
    }
}

/// A policy for each kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatePolicy([Policy; StateKind::ALL.len()]);

impl StatePolicy {
    /// What is done about this kind.
    #[inline]
    #[must_use]
    pub fn of(&self, kind: StateKind) -> Policy {
        *self.0.get(kind as usize).expect("there is a policy for each kind")
    }

    /// What `choice` says, and where it says nothing what is said here.
    #[must_use]
    pub fn with(mut self, choice: StateChoice) -> StatePolicy {
        for (own, chosen) in self.0.iter_mut().zip(choice.0) {
            *own = chosen.unwrap_or(*own);
        }
        self
    }
}

impl Default for StatePolicy {
    fn default() -> Self {
        StatePolicy(StateKind::ALL.map(StateKind::default_policy))
    }
}

/// Policies for some kinds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StateChoice([Option<Policy>; StateKind::ALL.len()]);

impl StateChoice {
    /// Chooses for one kind. False: nothing was chosen, since that cannot be done about it.
    #[must_use]
    pub fn set(&mut self, kind: StateKind, policy: Policy) -> bool {
        let allowed = kind.allows(policy);
        if let Some(own) = self.0.get_mut(kind as usize).filter(|_| allowed) {
            *own = Some(policy);
        }
        allowed
    }

    /// Chooses for all kinds about which that can be done.
    pub fn set_all(&mut self, policy: Policy) {
        for kind in StateKind::ALL {
            // Those about which it cannot be done keep what was said before.
            let _ = self.set(kind, policy);
        }
    }
}

/// `session_state_check`: how hard Howdah looks for state that neither the text of a statement nor its reply shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StateCheck {
    /// The server is asked after what may have changed something: DO, CALL, functions known to do so.
    Hinted,
    /// It is asked after every transaction. Only this is complete.
    Always,
    /// It is never asked; what texts and replies do not show is not followed.
    Never,
}

/// `max_pinned`: how many server connections of a pool may be pinned at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MaxPinned {
    /// One is left for the other clients. In a pool of one, that one may be pinned.
    AllButOne,
    /// So many.
    AtMost(u32),
    /// The pool's size is the limit.
    Unlimited,
}

impl MaxPinned {
    /// In a pool of that size.
    #[must_use]
    pub fn of(self, pool_size: u32) -> u32 {
        match self {
            MaxPinned::AllButOne => pool_size.saturating_sub(1).max(1),
            MaxPinned::AtMost(number) => number,
            MaxPinned::Unlimited => u32::MAX,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Database, User};

    #[test]
    fn each_kind_stands_at_its_own_place() {
        let policy = StatePolicy::default();
        for (index, kind) in StateKind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, index);
            assert_eq!(policy.of(kind), kind.default_policy());
        }
        assert!(size_of::<StatePolicy>() <= 16);
    }

    #[test]
    fn what_cannot_be_done_is_not_chosen() {
        let mut choice = StateChoice::default();
        assert!(!choice.set(StateKind::Temp, Policy::Carry));
        assert!(choice.set(StateKind::Locks, Policy::Refuse));
        let policy = StatePolicy::default().with(choice);
        assert_eq!(policy.of(StateKind::Temp), Policy::Pin);
        assert_eq!(policy.of(StateKind::Locks), Policy::Refuse);
        let mut all = StateChoice::default();
        all.set_all(Policy::Carry);
        assert_eq!(StatePolicy::default().with(all), StatePolicy::default());
    }

    #[test]
    fn the_user_overrules_the_database_kind_by_kind() {
        let choose = |pairs: &[(StateKind, Policy)]| {
            let mut choice = StateChoice::default();
            for (kind, policy) in pairs {
                assert!(choice.set(*kind, *policy));
            }
            choice
        };
        let mut settings = Settings::default();
        settings.state.max_pinned = MaxPinned::AtMost(7);
        let of_database = StateOverride {
            kinds: choose(&[(StateKind::Temp, Policy::Refuse), (StateKind::Locks, Policy::Warn)]),
            check: Some(StateCheck::Always),
            max_pinned: Some(MaxPinned::Unlimited),
            pin_idle_timeout: Some(Some(Duration::from_secs(9))),
        };
        let of_user = StateOverride {
            kinds: choose(&[(StateKind::Temp, Policy::Close)]),
            pin_idle_timeout: Some(None),
            ..StateOverride::default()
        };
        settings.databases.insert("shop".to_owned(), Database { state: of_database, ..Database::default() });
        settings.users.insert("ann".to_owned(), User { state: of_user, ..User::default() });

        let rules = StateRules::resolve(&settings, "shop", "ann");
        assert_eq!(rules.policy.of(StateKind::Temp), Policy::Close);
        assert_eq!(rules.policy.of(StateKind::Locks), Policy::Warn);
        assert_eq!(rules.policy.of(StateKind::Settings), Policy::Carry);
        assert_eq!(rules.check, StateCheck::Always);
        assert_eq!(rules.max_pinned, MaxPinned::Unlimited);
        assert_eq!(rules.pin_idle_timeout, None);

        let rules = StateRules::resolve(&settings, "shop", "bob");
        assert_eq!(rules.policy.of(StateKind::Temp), Policy::Refuse);
        assert_eq!(rules.pin_idle_timeout, Some(Duration::from_secs(9)));
        assert_eq!(StateRules::resolve(&settings, "stock", "bob"), settings.state);
    }

    #[test]
    fn one_is_left_unless_there_is_but_one() {
        assert_eq!([1, 2, 20, u32::MAX].map(|size| MaxPinned::AllButOne.of(size)), [1, 1, 19, u32::MAX - 1]);
        assert_eq!(MaxPinned::AtMost(3).of(1), 3);
    }
}
