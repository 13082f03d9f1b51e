//! A keyword as a number, so that a word is told from fifty others without comparing strings.

/// The letters of a word of up to eight in lower case, one of three names for longer ones, or [`NONE`].
pub(super) type Keyword = u64;

/// Stands for every word that is longer and no keyword.
const NONE: Keyword = 0;

/// The number of the word that is the first `len` bytes of `text`.
///
/// Letters in any case give the same number. Words that differ otherwise do not: of the bytes a word can have,
/// only letters meet when their sixth bit is set.
#[inline]
pub(super) fn keyword(text: &[u8], len: usize) -> Keyword {
    match (len, text.first_chunk()) {
        (1..=8, Some(eight)) => (u64::from_be_bytes(*eight) | LOWER) >> (64 - 8 * len),
        _ => text.get(..len).map_or(NONE, rare),
    }
}

/// Words that are long, or at the end of a text.
fn rare(word: &[u8]) -> Keyword {
    if word.len() <= 8 {
        return short(word);
    }
    LONG.iter().find(|(long, _)| long.eq_ignore_ascii_case(word)).map_or(NONE, |(_, number)| *number)
}

const fn short(word: &[u8]) -> Keyword {
    let mut number = 0;
    let mut rest = word;
    while let [byte, after @ ..] = rest {
        number = number << 8 | (*byte | 0x20) as Keyword;
        rest = after;
    }
    number
}

macro_rules! keywords {
    ($($name:ident)*) => {
        $(pub(super) const $name: Keyword = short(stringify!($name).as_bytes());)*
    };
}

keywords! {
    ABORT ALL ALTER AS ATOMIC BEGIN CALL CASE CLOSE COMMIT COPY CREATE DECLARE DEFAULT DELETE DISCARD DO DROP
    ELSE END EXECUTE EXPLAIN FETCH FROM FUNCTION GLOBAL HOLD INSERT INTO LANGUAGE LISTEN LOAD LOCAL LOCK LOOP
    MERGE MOVE NAMES NOTIFY OPTION PREPARE PREPARED RELEASE RENAME REPLACE RESET ROLE ROLLBACK ROUTINE RULE
    SCHEMA SELECT SESSION SET SHOW START TABLE TEMP THEN TIME TO TRIGGER TRUE TRUNCATE U UNLISTEN UPDATE VACUUM
    VALUES VIEW WITH WORK XML ZONE
}

/// Numbers no packed letter has.
pub(super) const DEALLOCATE: Keyword = 1;
pub(super) const SAVEPOINT: Keyword = 2;
pub(super) const TRANSACTION: Keyword = 3;

const LONG: &[(&[u8], Keyword)] =
    &[(b"deallocate", DEALLOCATE), (b"savepoint", SAVEPOINT), (b"transaction", TRANSACTION)];

/// The bit that makes a letter a small one, in each byte.
const LOWER: u64 = 0x2020_2020_2020_2020;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_does_not_matter_and_everything_else_does() {
        let number = |word: &str| {
            let alone = keyword(word.as_bytes(), word.len());
            let followed = keyword(format!("{word} and more").as_bytes(), word.len());
            assert_eq!(alone, followed, "{word}");
            alone
        };
        assert_eq!(number("Commit"), COMMIT);
        assert_eq!(number("ROLLBACK"), ROLLBACK);
        assert_eq!(number("TO"), TO);
        assert_eq!(number("Savepoint"), SAVEPOINT);
        for other in ["commit_", "commi", "écommit", "commi7", "rollback_", "xrollback", "savepoints"] {
            assert!(![COMMIT, ROLLBACK, SAVEPOINT].contains(&number(other)), "{other}");
        }
        assert_eq!(number("extraordinary"), NONE);
        assert_ne!(keyword(b"d\xcf", 2), DO);
    }
}
