//! A query text with several statements, and the question whether it ends a transaction.

use super::head::Head;
use super::keyword as word;
use super::lexer::{Lexer, Piece, Token};

/// The heads of a text's statements in order. Empty statements are left out, as PostgreSQL does, so there is one
/// head for each CommandComplete of a text that succeeds (rules aside).
#[derive(Clone, Copy, Debug)]
pub struct Statements<'a> {
    lexer: Lexer<'a>,
}

impl<'a> Statements<'a> {
    /// Those of the text of a Query or Parse.
    #[must_use]
    pub fn of(text: &'a [u8]) -> Statements<'a> {
        Statements { lexer: Lexer::new(text) }
    }

    /// Whether what was read so far could also be read otherwise: something was not terminated, a backslash
    /// before a quote means what the session's settings say, or a function has its body written as statements.
    #[must_use]
    pub fn in_doubt(&self) -> bool {
        self.lexer.doubt
    }

    /// The first token of the next statement; then follows [`finish`](Statements::finish).
    pub(super) fn begin(&mut self) -> Option<(Piece<'a>, Head)> {
        let first =
            std::iter::from_fn(|| self.lexer.piece()).find(|piece| piece.token != Token::Semicolon)?;
        Some((first, Head::at(first.token, self.lexer)))
    }

    /// What is behind the last token read.
    pub(super) fn following(&self) -> Lexer<'a> {
        self.lexer
    }

    /// Reads to the end of the statement whose first token is this, and shows each token with what follows it. A
    /// semicolon does not end it in parentheses, where CREATE RULE has its actions, nor in the BEGIN ATOMIC … END
    /// of CREATE FUNCTION.
    #[inline]
    pub(super) fn finish(
        &mut self,
        first: Piece<'a>,
        head: Head,
        mut show: impl FnMut(Piece<'a>, Lexer<'a>),
    ) {
        let mut parentheses = 0_usize;
        let mut blocks = 0_usize;
        let mut piece = Some(first);
        while let Some(current) = piece {
            match current.token {
                Token::Semicolon if parentheses == 0 && blocks == 0 => return,
                Token::Open => parentheses += 1,
                Token::Close => parentheses = parentheses.saturating_sub(1),
                Token::Word(word) if head == Head::Create => match word {
                    word::BEGIN if self.atomic_follows() => {
                        self.lexer.doubt = true;
                        blocks += 1;
                    }
                    word::CASE if blocks > 0 => blocks += 1,
                    word::END => blocks = blocks.saturating_sub(1),
                    _ => {}
                },
                _ => {}
            }
            show(current, self.lexer);
            piece = self.lexer.piece();
        }
    }

    fn atomic_follows(&self) -> bool {
        let mut ahead = self.lexer;
        ahead.token() == Some(Token::Word(word::ATOMIC))
    }
}

impl Iterator for Statements<'_> {
    type Item = Head;

    fn next(&mut self) -> Option<Head> {
        let (first, head) = self.begin()?;
        self.finish(first, head, |_, _| {});
        Some(head)
    }
}

/// Whether running this text may make a transaction permanent by its own word. While that is in flight, nobody
/// but the server knows whether it happened, so it must not be cancelled.
///
/// Besides COMMIT, END, PREPARE TRANSACTION and COMMIT PREPARED that is whatever cannot be ruled out: CALL and DO
/// run code that may commit; EXECUTE may run a COMMIT that was prepared by a Parse message (PostgreSQL 15 does
/// so); and a text in doubt may hide anything.
#[must_use]
pub fn ends_transaction(text: &[u8]) -> bool {
    if is_single(text) {
        return may_end(Head::of(text));
    }
    let mut statements = Statements::of(text);
    let ends = statements.any(may_end);
    ends || statements.in_doubt()
}

/// Whether there is, at most, one statement. Several may be one in truth, but not the other way round.
#[inline]
pub(super) fn is_single(text: &[u8]) -> bool {
    match memchr::memchr(b';', text).and_then(|at| text.get(at + 1..)) {
        None => true,
        Some(rest) => rest.iter().all(u8::is_ascii_whitespace),
    }
}

/// Whether a statement with this head may end a transaction.
pub(super) fn may_end(head: Head) -> bool {
    matches!(
        head,
        Head::Commit
            | Head::PrepareTransaction
            | Head::CommitPrepared
            | Head::Call
            | Head::Do
            | Head::Execute
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn heads(text: &str) -> Vec<Head> {
        Statements::of(text.as_bytes()).collect()
    }

    #[test]
    fn statements_end_at_semicolons_that_count() {
        use Head::{Begin, Commit, Create, Insert, Other, Select, Set};
        for (text, expected) in [
            ("", &[][..]),
            (" ; -- x\n;", &[]),
            ("select 1", &[Select]),
            ("select 1;", &[Select]),
            ("begin;select 1;;commit;", &[Begin, Select, Commit]),
            ("select ';'; commit", &[Select, Commit]),
            ("select 'it''s; ok'; commit", &[Select, Commit]),
            ("select \"a;b\"\"\"; commit", &[Select, Commit]),
            ("select E'\\';commit;'; set x=1", &[Select, Set]),
            ("select $a$;commit;$a$; set x=1", &[Select, Set]),
            ("select $a$;$$;$b$;$a$; set x=1", &[Select, Set]),
            ("select 1 -- ;commit\n; set x=1", &[Select, Set]),
            ("select /* ; /* ; */ commit; */ 1; set x=1", &[Select, Set]),
            ("select a$1;commit", &[Select, Commit]),
            ("(select 1);commit", &[Select, Commit]),
            ("select case when a then b end; commit", &[Select, Commit]),
            (
                "create rule r as on insert to t do (insert into u values (1); delete from v); set x=1",
                &[Create, Set],
            ),
            (
                "create function f() returns int begin atomic select 1; select case when a then b end; end; set x=1",
                &[Create, Set],
            ),
            (
                "create function f() returns int as $$begin; commit; end$$ language plpgsql; set x=1",
                &[Create, Set],
            ),
            ("create table begin (a int); commit", &[Create, Commit]),
            ("garbage; insert into t values (')'); commit", &[Other, Insert, Commit]),
            (")); commit", &[Other, Commit]),
            ("select 'open; commit", &[Select]),
        ] {
            assert_eq!(heads(text), expected, "{text}");
        }
    }

    #[test]
    fn what_may_commit_is_not_ruled_out() {
        for text in [
            "commit",
            "COMMIT AND CHAIN",
            "end",
            "insert into t values (1); commit",
            "/* a */ Commit -- b",
            "prepare transaction 'x'",
            "commit prepared 'x'",
            "call p()",
            "do $$ begin commit; end $$",
            "execute p",
            // With standard_conforming_strings off the string ends elsewhere.
            r"select '\'; select '; commit; --'",
            r"select 'a\'; --'; commit; select '",
            "select 'open; x",
            "select $a$ open; x",
            "select 1 /* open; x",
            "create view v as select begin atomic from t; commit",
        ] {
            assert!(ends_transaction(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn what_cannot_commit_may_be_cancelled() {
        for text in [
            "",
            "select 1",
            "begin; select pg_sleep(9)",
            "select 'commit'",
            "select 1; -- commit",
            "select case when a then 'x' end from t",
            "select commit from t",
            "rollback",
            "rollback to a",
            "rollback prepared 'x'",
            "select E'\\'; commit; --'",
            "prepare transaction as select 1",
            "update t set a = 'C:\\dir'; savepoint a",
            // One statement, whatever is wrong with it: its head says it all.
            "select 'open",
            "select $a$ open",
            "select 1 /* open",
        ] {
            assert!(!ends_transaction(text.as_bytes()), "{text}");
        }
    }

    /// Texts made of what the lexer cares about.
    fn nasty() -> impl Strategy<Value = Vec<u8>> {
        let piece = proptest::sample::select(vec![
            "'",
            "\"",
            "$$",
            "$a$",
            "$",
            "--",
            "/*",
            "*/",
            "\\",
            ";",
            "(",
            ")",
            "\n",
            " ",
            "e'",
            "E'",
            "commit",
            "begin atomic",
            "end",
            "case",
            "create",
            "select",
            "prepare",
            "transaction",
            "é",
            "1",
            "\0",
        ]);
        proptest::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat().into_bytes())
    }

    proptest! {
        #[test]
        fn the_first_head_is_the_same_either_way(text in nasty()) {
            prop_assert_eq!(Head::of(&text), Statements::of(&text).next().unwrap_or(Head::Empty));
        }

        #[test]
        fn nothing_panics_and_everything_ends(
            text in prop_oneof![nasty(), proptest::collection::vec(any::<u8>(), 0..80)],
        ) {
            for end in 0..=text.len() {
                let text = &text[..end];
                prop_assert!(Statements::of(text).count() <= text.len());
                let _ = ends_transaction(text);
            }
        }

        #[test]
        fn whatever_comes_before_and_is_complete_a_commit_is_seen(
            before in proptest::collection::vec(
                proptest::sample::select(vec![
                    "select ';'", "select E'\\''", "select $a$ ' $a$", "--'\n", "/* ' */", "select \"'\"", "", "(select 1)",
                    "create rule r as on insert to t do (select 1; select 2)", "select 'a' -- x\n 'b'",
                ]),
                0..8,
            ),
        ) {
            let text = format!("{};commit", before.join(";"));
            prop_assert_eq!(Statements::of(text.as_bytes()).last(), Some(Head::Commit), "{}", text);
        }
    }
}
