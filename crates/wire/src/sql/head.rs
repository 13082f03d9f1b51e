//! The kind of a statement, told from its first words.

use super::keyword as word;
use super::lexer::{Lexer, Token};

/// What a statement begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Head {
    /// BEGIN, START TRANSACTION.
    Begin,
    /// COMMIT, END.
    Commit,
    /// ROLLBACK, ABORT.
    Rollback,
    /// ROLLBACK TO a savepoint.
    RollbackTo,
    /// SAVEPOINT.
    Savepoint,
    /// RELEASE.
    Release,
    /// PREPARE TRANSACTION.
    PrepareTransaction,
    /// COMMIT PREPARED.
    CommitPrepared,
    /// ROLLBACK PREPARED.
    RollbackPrepared,
    /// SET, also LOCAL, TRANSACTION, CONSTRAINTS…
    Set,
    /// RESET.
    Reset,
    /// SHOW.
    Show,
    /// LISTEN.
    Listen,
    /// UNLISTEN.
    Unlisten,
    /// NOTIFY.
    Notify,
    /// PREPARE of a statement.
    Prepare,
    /// EXECUTE.
    Execute,
    /// DEALLOCATE.
    Deallocate,
    /// DISCARD.
    Discard,
    /// DECLARE of a cursor.
    Declare,
    /// CLOSE of a cursor.
    Close,
    /// FETCH, MOVE.
    Fetch,
    /// COPY.
    Copy,
    /// CALL.
    Call,
    /// DO.
    Do,
    /// LOAD.
    Load,
    /// CREATE.
    Create,
    /// DROP.
    Drop,
    /// ALTER.
    Alter,
    /// LOCK.
    Lock,
    /// SELECT, TABLE; also in parentheses.
    Select,
    /// WITH.
    With,
    /// VALUES.
    Values,
    /// INSERT.
    Insert,
    /// UPDATE.
    Update,
    /// DELETE.
    Delete,
    /// MERGE.
    Merge,
    /// EXPLAIN.
    Explain,
    /// VACUUM.
    Vacuum,
    /// There is no statement.
    Empty,
    /// Anything else.
    Other,
}

impl Head {
    /// The head of the first statement in `text`; no more of it is looked at than needed.
    #[must_use]
    pub fn of(text: &[u8]) -> Head {
        let mut lexer = Lexer::new(text);
        loop {
            match lexer.token() {
                Some(Token::Semicolon) => {}
                Some(first) => return Head::at(first, lexer),
                None => return Head::Empty,
            }
        }
    }

    /// The head of the statement whose first token is this, with what follows.
    #[inline]
    pub(super) fn at(first: Token, mut following: Lexer<'_>) -> Head {
        let mut token = Some(first);
        while token == Some(Token::Open) {
            token = following.token();
        }
        let Some(Token::Word(word)) = token else { return Head::Other };
        match word {
            word::SELECT | word::TABLE => Head::Select,
            word::BEGIN => Head::Begin,
            word::START => start(following),
            word::COMMIT => commit(following),
            word::END => Head::Commit,
            word::ROLLBACK => rollback(following),
            word::ABORT => Head::Rollback,
            word::SAVEPOINT => Head::Savepoint,
            word::RELEASE => Head::Release,
            word::PREPARE => prepare(following),
            word::SET => Head::Set,
            word::RESET => Head::Reset,
            word::SHOW => Head::Show,
            word::LISTEN => Head::Listen,
            word::UNLISTEN => Head::Unlisten,
            word::NOTIFY => Head::Notify,
            word::EXECUTE => Head::Execute,
            word::DEALLOCATE => Head::Deallocate,
            word::DISCARD => Head::Discard,
            word::DECLARE => Head::Declare,
            word::CLOSE => Head::Close,
            word::FETCH | word::MOVE => Head::Fetch,
            word::COPY => Head::Copy,
            word::CALL => Head::Call,
            word::DO => Head::Do,
            word::LOAD => Head::Load,
            word::CREATE => Head::Create,
            word::DROP => Head::Drop,
            word::ALTER => Head::Alter,
            word::LOCK => Head::Lock,
            word::WITH => Head::With,
            word::VALUES => Head::Values,
            word::INSERT => Head::Insert,
            word::UPDATE => Head::Update,
            word::DELETE => Head::Delete,
            word::MERGE => Head::Merge,
            word::EXPLAIN => Head::Explain,
            word::VACUUM => Head::Vacuum,
            _ => Head::Other,
        }
    }
}

fn start(mut following: Lexer<'_>) -> Head {
    if following.keyword() == Some(word::TRANSACTION) { Head::Begin } else { Head::Other }
}

fn commit(mut following: Lexer<'_>) -> Head {
    if following.keyword() == Some(word::PREPARED) { Head::CommitPrepared } else { Head::Commit }
}

fn rollback(mut following: Lexer<'_>) -> Head {
    match following.keyword() {
        Some(word::PREPARED) => Head::RollbackPrepared,
        Some(word::TO) => Head::RollbackTo,
        Some(word::WORK | word::TRANSACTION) if following.keyword() == Some(word::TO) => Head::RollbackTo,
        _ => Head::Rollback,
    }
}

/// A prepared statement may itself be called "transaction".
fn prepare(mut following: Lexer<'_>) -> Head {
    if following.keyword() != Some(word::TRANSACTION) {
        return Head::Prepare;
    }
    match following.token() {
        Some(Token::Open) => Head::Prepare,
        Some(Token::Word(word::AS)) => Head::Prepare,
        _ => Head::PrepareTransaction,
    }
}

impl Lexer<'_> {
    fn keyword(&mut self) -> Option<word::Keyword> {
        match self.token() {
            Some(Token::Word(word)) => Some(word),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_keyword_in_any_case_and_after_blanks_and_comments() {
        for (text, expected) in HEADS {
            let lower = text.to_lowercase();
            for text in [(*text).to_owned(), lower, format!(" \t\r\n\x0b\x0c-- x\n/* /* ; */ */;;{text}")] {
                assert_eq!(Head::of(text.as_bytes()), *expected, "{text}");
            }
        }
    }

    #[test]
    fn a_word_is_a_keyword_only_as_a_whole() {
        for text in
            ["commits", "commit1", "commit_", "commit$", "xcommit", "\"commit\"", "'commit'", "commité"]
        {
            assert_eq!(Head::of(text.as_bytes()), Head::Other, "{text}");
        }
        for text in ["commit;", "commit--", "commit/**/", "commit'", "commit\0", "commit", "commit\u{b}"] {
            assert_eq!(Head::of(text.as_bytes()), Head::Commit, "{text}");
        }
    }

    #[test]
    fn no_statement_at_all() {
        for text in ["", " ", ";", " ; ;\n", "-- select", "/* select */", "/* select", "--"] {
            assert_eq!(Head::of(text.as_bytes()), Head::Empty, "{text}");
        }
    }

    const HEADS: &[(&str, Head)] = &[
        ("BEGIN", Head::Begin),
        ("BEGIN ISOLATION LEVEL SERIALIZABLE", Head::Begin),
        ("START TRANSACTION READ ONLY", Head::Begin),
        ("START/**/TRANSACTION", Head::Begin),
        ("START", Head::Other),
        ("START_REPLICATION SLOT s", Head::Other),
        ("COMMIT", Head::Commit),
        ("COMMIT WORK", Head::Commit),
        ("COMMIT AND CHAIN", Head::Commit),
        ("COMMIT;PREPARED", Head::Commit),
        ("END", Head::Commit),
        ("END TRANSACTION", Head::Commit),
        ("COMMIT PREPARED 'x'", Head::CommitPrepared),
        ("COMMIT -- PREPARED\n WORK", Head::Commit),
        ("COMMIT -- WORK\n PREPARED 'x'", Head::CommitPrepared),
        ("ROLLBACK", Head::Rollback),
        ("ROLLBACK AND NO CHAIN", Head::Rollback),
        ("ROLLBACK WORK", Head::Rollback),
        ("ABORT", Head::Rollback),
        ("ROLLBACK TO a", Head::RollbackTo),
        ("ROLLBACK TO SAVEPOINT a", Head::RollbackTo),
        ("ROLLBACK WORK TO SAVEPOINT a", Head::RollbackTo),
        ("ROLLBACK TRANSACTION TO a", Head::RollbackTo),
        ("ROLLBACK WORK; TO", Head::Rollback),
        ("ROLLBACK PREPARED 'x'", Head::RollbackPrepared),
        ("SAVEPOINT a", Head::Savepoint),
        ("RELEASE a", Head::Release),
        ("PREPARE TRANSACTION 'x'", Head::PrepareTransaction),
        ("PREPARE TRANSACTION E'x'", Head::PrepareTransaction),
        ("PREPARE TRANSACTION $$x$$", Head::PrepareTransaction),
        ("PREPARE transaction AS SELECT 1", Head::Prepare),
        ("PREPARE transaction (int) AS SELECT $1", Head::Prepare),
        ("PREPARE p AS SELECT 1", Head::Prepare),
        ("PREPARE \"transaction\" AS SELECT 1", Head::Prepare),
        ("SET x = 1", Head::Set),
        ("SET LOCAL x = 1", Head::Set),
        ("RESET ALL", Head::Reset),
        ("SHOW ALL", Head::Show),
        ("LISTEN a", Head::Listen),
        ("UNLISTEN *", Head::Unlisten),
        ("NOTIFY a", Head::Notify),
        ("EXECUTE p(1)", Head::Execute),
        ("DEALLOCATE ALL", Head::Deallocate),
        ("DISCARD ALL", Head::Discard),
        ("DECLARE c CURSOR FOR SELECT 1", Head::Declare),
        ("CLOSE c", Head::Close),
        ("FETCH ALL FROM c", Head::Fetch),
        ("MOVE c", Head::Fetch),
        ("COPY t FROM STDIN", Head::Copy),
        ("CALL p()", Head::Call),
        ("DO $$BEGIN END$$", Head::Do),
        ("DO'BEGIN END'", Head::Do),
        ("LOAD 'x'", Head::Load),
        ("CREATE TABLE t()", Head::Create),
        ("DROP TABLE t", Head::Drop),
        ("ALTER TABLE t ADD c int", Head::Alter),
        ("LOCK t", Head::Lock),
        ("SELECT 1", Head::Select),
        ("SELECT'1'", Head::Select),
        ("SELECT*FROM t", Head::Select),
        ("(SELECT 1)", Head::Select),
        ("( (/**/ SELECT 1))", Head::Select),
        ("((VALUES (1)))", Head::Values),
        ("TABLE t", Head::Select),
        ("WITH a AS (SELECT 1) SELECT 2", Head::With),
        ("VALUES (1)", Head::Values),
        ("INSERT INTO t VALUES (1)", Head::Insert),
        ("UPDATE t SET a = 1", Head::Update),
        ("DELETE FROM t", Head::Delete),
        ("MERGE INTO t", Head::Merge),
        ("EXPLAIN SELECT 1", Head::Explain),
        ("VACUUM", Head::Vacuum),
        ("TRUNCATE t", Head::Other),
        ("ANALYZE", Head::Other),
        ("1", Head::Other),
        ("(", Head::Other),
        (")", Head::Other),
        ("$$COMMIT$$", Head::Other),
    ];
}
