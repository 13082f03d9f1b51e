//! What do the functions of a database do to a session that a text which calls them does not show?

use super::head::Head;
use super::lexer::Piece;
use super::signs::Signs;

/// Functions, views and tables of a database whose use may change a session. The default knows of none.
#[derive(Clone, Debug, Default)]
pub struct Hints {}

impl Hints {
    /// The query whose rows, read as a user who can see the functions, make a [`HintsBuilder`]. Its columns are the
    /// kind, the name and the body, all of type text.
    #[must_use]
    pub fn query() -> &'static str {
        QUERY
    }

    pub(super) fn see(&self, _piece: Piece<'_>, _head: Head, _signs: &mut Signs) {}
}

/// Collects the rows of [`Hints::query`].
#[derive(Clone, Debug, Default)]
pub struct HintsBuilder {}

impl HintsBuilder {
    /// One of them.
    pub fn row(&mut self, _kind: &[u8], _name: &[u8], _body: &[u8]) {}

    /// What they say together.
    #[must_use]
    pub fn build(self) -> Hints {
        Hints {}
    }
}

const QUERY: &str = "SELECT NULL::pg_catalog.text, NULL::pg_catalog.text, NULL::pg_catalog.text LIMIT 0";
