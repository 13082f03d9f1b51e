//! A keyword as a number, so that a word is told from fifty others without comparing strings.

/// A word of up to 16 letters in lower case, or [`NONE`].
pub(super) type Keyword = u128;

/// Stands for every word longer than any keyword.
const NONE: Keyword = 0;

/// Letters in any case give the same number; words that are not the same otherwise do not, since of the bytes
/// a word can have only letters meet when their sixth bit is set.
#[inline]
pub(super) const fn keyword(word: &[u8]) -> Keyword {
    let mut number = NONE;
    let mut rest = word;
    if rest.len() > size_of::<Keyword>() {
        return NONE;
    }
    while let [byte, after @ ..] = rest {
        number = number << 8 | (*byte | 0x20) as Keyword;
        rest = after;
    }
    number
}

macro_rules! keywords {
    ($($name:ident)*) => {
        $(pub(super) const $name: Keyword = keyword(stringify!($name).as_bytes());)*
    };
}

keywords! {
    ABORT ALTER AS ATOMIC BEGIN CALL CASE CLOSE COMMIT COPY CREATE DEALLOCATE DECLARE DELETE DISCARD DO DROP END
    EXECUTE EXPLAIN FETCH INSERT LISTEN LOAD LOCK MERGE MOVE NOTIFY PREPARE PREPARED RELEASE RESET ROLLBACK
    SAVEPOINT SELECT SET SHOW START TABLE TO TRANSACTION UNLISTEN UPDATE VACUUM VALUES WITH WORK
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_does_not_matter_and_everything_else_does() {
        assert_eq!(keyword(b"Commit"), COMMIT);
        assert_ne!(keyword(b"commit_"), COMMIT);
        assert_ne!(keyword(b"commi"), COMMIT);
        assert_ne!(keyword(b"\x80commit"), COMMIT);
        assert_ne!(keyword(b"xxxxxxxxxxxxxxcommit"), COMMIT);
        assert_ne!(keyword(b"d\xcf"), DO);
    }
}
