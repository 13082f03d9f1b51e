//! Which kinds of state a text may bring about, told from its words.

use howdah_wire::sql::{Head, Sign, Signs, Statements};

use crate::server::Server;
use crate::settings::{Policy, StateKind};

/// Kinds of state.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Kinds(u16);

impl Kinds {
    /// What a text with these signs may bring about.
    pub(super) fn of(signs: &Signs, text: &[u8]) -> Kinds {
        let mut kinds = Kinds::default();
        for (sign, kind) in OF_SIGNS {
            if signs.has(sign) {
                kinds.add(kind);
            }
        }
        if signs.has(Sign::Setting) && signs.names().iter().any(|name| is_custom(name)) {
            kinds.add(StateKind::Custom);
        }
        // Who only goes back to where it began is welcome.
        let returns = |head| matches!(head, Head::Reset | Head::Discard);
        if kinds.has(StateKind::Role) && !text.is_empty() && Statements::of(text).all(returns) {
            kinds = kinds.without(StateKind::Role);
        }
        kinds
    }

    pub(super) fn add(&mut self, kind: StateKind) {
        self.0 |= 1 << kind as u16;
    }

    pub(super) fn has(self, kind: StateKind) -> bool {
        self.0 & (1 << kind as u16) != 0
    }

    pub(super) fn and(self, other: Kinds) -> Kinds {
        Kinds(self.0 | other.0)
    }

    pub(super) fn without(self, kind: StateKind) -> Kinds {
        Kinds(self.0 & !(1 << kind as u16))
    }

    pub(super) fn iter(self) -> impl Iterator<Item = StateKind> {
        StateKind::ALL.into_iter().filter(move |kind| self.has(*kind))
    }
}

/// PostgreSQL knows these names by the client's word only.
pub(in crate::session) fn is_custom(name: &str) -> bool {
    name.contains('.')
}

/// Nothing is set beyond the transaction, but PostgreSQL knows the name of a custom parameter from then on.
pub(super) fn leaves_name(signs: &Signs, policy: Policy) -> bool {
    let resets = || signs.has(Sign::Reset) && signs.names().iter().any(|name| is_custom(name));
    match policy {
        Policy::Close => signs.has(Sign::CustomName) || resets(),
        Policy::Refuse => signs.has(Sign::CustomName),
        Policy::Carry | Policy::Pin | Policy::Warn => false,
    }
}

/// It asks for what a sequence gave in this session, and this transaction has not made any give.
pub(super) fn reads_sequences(server: &Server, signs: &Signs, text: &[u8]) -> bool {
    signs.has(Sign::CurrVal) && server.outstanding.is_between_transactions() && !moves_sequences(signs, text)
}

/// Something in it gets PostgreSQL out of a transaction that has failed.
pub(super) fn ends_block(text: &[u8]) -> bool {
    let ends =
        |head| matches!(head, Head::Commit | Head::Rollback | Head::RollbackTo | Head::PrepareTransaction);
    Statements::of(text).any(ends)
}

/// It may make a sequence give its next value.
pub(super) fn moves_sequences(signs: &Signs, text: &[u8]) -> bool {
    signs.has(Sign::NextVal)
        || signs.has(Sign::Opaque)
        || MOVING.iter().any(|word| text.windows(word.len()).any(|part| part.eq_ignore_ascii_case(word)))
}

/// Words without which no sequence gives its next value, unless a function sees to it.
const MOVING: [&[u8]; 5] = [b"nextval", b"setval", b"insert", b"copy", b"merge"];

const OF_SIGNS: [(Sign, StateKind); 11] = [
    (Sign::Setting, StateKind::Settings),
    (Sign::SettingUnknown, StateKind::Settings),
    (Sign::Role, StateKind::Role),
    (Sign::Prepare, StateKind::Statements),
    (Sign::Listen, StateKind::Listen),
    (Sign::Temp, StateKind::Temp),
    (Sign::Lock, StateKind::Locks),
    (Sign::HoldCursor, StateKind::Cursors),
    (Sign::Slot, StateKind::Slots),
    (Sign::Seed, StateKind::Seed),
    (Sign::Load, StateKind::Libraries),
];
