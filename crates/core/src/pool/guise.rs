//! What the session of a connection looks like, as far as that decides whom it suits.

use std::hash::{Hash, Hasher};

use rustc_hash::FxHasher;

/// What a session has beyond what every session of its pool begins with, in short. Equal ones are alike; that two
/// others are taken for equal by chance costs a client only what it would have cost anyway.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Guise(u64);

impl Guise {
    /// Nothing.
    pub const PLAIN: Guise = Guise(0);

    /// That of a session that acts as `role`, where it does not act as who logged in, and has `rest`.
    #[must_use]
    pub fn new(role: Option<impl Hash>, rest: impl Hash) -> Guise {
        let role = role.map_or(0, |role| fold(&role) | 1);
        Guise(u64::from(role) << 32 | u64::from(fold(&rest) | 1))
    }

    /// Both act as the same role.
    #[must_use]
    pub fn same_role(self, other: Guise) -> bool {
        self.0 >> 32 == other.0 >> 32
    }
}

fn fold(value: &impl Hash) -> u32 {
    let mut hasher = FxHasher::default();
    value.hash(&mut hasher);
    let hash = hasher.finish();
    (hash ^ hash >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_are_told_apart_from_the_rest() {
        let [ann, ann_set, bob, none] = [(Some("ann"), 1), (Some("ann"), 2), (Some("bob"), 1), (None, 1)]
            .map(|(role, rest)| Guise::new(role, rest));
        assert!(ann != ann_set && ann.same_role(ann_set));
        assert!(!ann.same_role(bob) && !ann.same_role(none));
        assert!(none != Guise::PLAIN && none.same_role(Guise::PLAIN));
    }
}
