//! One PREPARE cut out of a text with several statements: `pg_prepared_statements` shows the whole of it.

use super::head::Head;
use super::identifier;
use super::statements::Statements;

/// The statement of `text` that prepares `name`, which is spelt as PostgreSQL knows it. Of several it is the last,
/// whose definition held unless an error came between.
#[must_use]
pub fn prepare_text<'a>(text: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let mut statements = Statements::of(text);
    let mut found = None;
    while let Some((first, head)) = statements.begin() {
        let mut following = statements.following();
        let from = text.len() - following.remaining() - first.text.len();
        let mut end = from;
        statements.finish(first, head, |_, following| end = text.len() - following.remaining());
        if head == Head::Prepare
            && following.piece().and_then(identifier::name).is_some_and(|its| *its == *name)
        {
            found = text.get(from..end);
        }
    }
    found
}
