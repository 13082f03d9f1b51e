//! What do the functions of a database do to a session that a text which calls them does not show?
//!
//! [`Hints::query`] asks a database for its functions, views, triggers and what hangs together; [`HintsBuilder`]
//! takes the rows, reads the bodies as texts are read, and follows who uses whom; [`Hints`] then tells from a name in
//! a text what its use may do. Names are taken without their schema. Functions in C count as harmless, those in
//! languages nobody reads here as opaque.

mod body;
mod builder;
mod computed;
mod names;

pub use builder::HintsBuilder;
pub(super) use computed::computes_name_in_block;

use names::Names;

use super::head::Head;
use super::lexer::Piece;
use super::signs::{Sign, Signs};

/// Functions, views and tables of a database whose use may change a session. The default knows of none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hints {
    names: Names,
    /// What comes of using each name.
    entries: Vec<Entry>,
    /// What event triggers do; their functions have entries, too.
    ddl: Signs,
    /// Custom settings that somebody in the database uses; `pg_settings` does not show them.
    custom: Vec<Box<str>>,
    /// There is too much to know it.
    everything: bool,
}

/// What comes of using a name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Entry {
    /// In any way.
    uses: Signs,
    /// In a statement that writes.
    fires: Signs,
}

impl Hints {
    /// The query whose rows make a [`HintsBuilder`]. Its columns are the kind, the name and the body, of type text.
    #[must_use]
    pub fn query() -> &'static str {
        include_str!("query.sql")
    }

    /// The same while they may be out of date: any statement may do anything, to these custom settings, too.
    #[must_use]
    pub fn in_doubt<'a>(&self, custom: impl IntoIterator<Item = &'a str>) -> Hints {
        let mut hints = Hints { everything: true, ..self.clone() };
        hints.custom.extend(custom.into_iter().map(Box::from));
        hints
    }

    /// Whether there are none, so that a text's words say all.
    #[must_use]
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty() && !self.everything && self.custom.is_empty()
    }

    /// Whether they may say more of a text with this head than its words do.
    #[inline]
    pub(super) fn may_matter(&self, head: Head, text: &[u8]) -> bool {
        !self.is_empty()
            && (self.everything || head == Head::Other && self.ddl.any() || self.names.may_be_in(text))
    }

    /// Adds what a name does; says whether it is known here. `writes`: the statement changes tables.
    #[inline]
    pub(super) fn see(&self, piece: Piece<'_>, writes: bool, signs: &mut Signs) -> bool {
        let Some(entry) = self.names.find(piece).and_then(|index| self.entries.get(index)) else {
            return false;
        };
        signs.merge(&entry.uses);
        if writes {
            signs.merge(&entry.fires);
        }
        true
    }

    /// Adds what a statement does because of this head.
    pub(super) fn see_head(&self, head: Head, signs: &mut Signs) {
        if matches!(head, Head::Create | Head::Alter | Head::Drop | Head::Other) {
            signs.merge(&self.ddl);
        }
        if self.everything {
            signs.add(Sign::Opaque);
        }
    }

    /// Adds the settings that have to be asked about by name if anything may have been set.
    pub(super) fn see_end(&self, signs: &mut Signs) {
        if signs.has(Sign::SettingUnknown) || signs.has(Sign::Opaque) {
            for name in &self.custom {
                signs.add_name(name);
            }
        }
    }
}
