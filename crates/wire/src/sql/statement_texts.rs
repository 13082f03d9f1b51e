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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_statement_is_cut_out_without_what_stands_around_it() {
        for (text, name, expected) in [
            ("PREPARE p AS SELECT 1", "p", Some("PREPARE p AS SELECT 1")),
            (" /* a */ prepare P AS SELECT ';' -- b\n;", "p", Some("prepare P AS SELECT ';'")),
            (
                "SET x = 1; PREPARE \"P\"(int) AS SELECT $1; PREPARE p AS SELECT 2; EXECUTE p",
                "P",
                Some("PREPARE \"P\"(int) AS SELECT $1"),
            ),
            (
                "PREPARE p AS SELECT 1; DEALLOCATE p; PREPARE p AS SELECT 2;",
                "p",
                Some("PREPARE p AS SELECT 2"),
            ),
            ("PREPARE p AS SELECT 1", "q", None),
            ("PREPARE TRANSACTION 'p'", "transaction", None),
            ("EXECUTE p", "p", None),
            ("PREPARE", "", None),
        ] {
            assert_eq!(prepare_text(text.as_bytes(), name.as_bytes()), expected.map(str::as_bytes), "{text}");
        }
    }
}
