//! Is this text, at a glance, one that does nothing to the session?
//!
//! Nearly all texts are one SELECT, INSERT, UPDATE or DELETE without any of the words that matter. They are told by
//! their head and by three letters of each such word, sixteen places at once, without taking the text apart.

use super::head::Head;
use super::keyword::{self as word, keyword};
use super::statements::is_single;

/// The head of a text that has one statement, which does no more than its head says; `None`: look closer.
#[inline]
pub(super) fn head_of_plain(text: &[u8]) -> Option<Head> {
    if !is_single(text) {
        return None;
    }
    let head = head(text);
    (says_it_all(head) && !may_have_signs(text)).then_some(head)
}

/// The head, with a short way for the most usual ones.
#[inline]
fn head(text: &[u8]) -> Head {
    let usual = match text {
        [_, _, _, _, _, _, b' ' | b'\n', ..] => keyword(text, 6),
        _ => 0,
    };
    match usual {
        word::SELECT => Head::Select,
        word::INSERT => Head::Insert,
        word::UPDATE => Head::Update,
        word::DELETE => Head::Delete,
        _ => Head::of(text),
    }
}

/// Whether only a function, a view or INTO TEMP could make such a statement leave something in the session.
fn says_it_all(head: Head) -> bool {
    match head {
        Head::Set
        | Head::Reset
        | Head::Listen
        | Head::Unlisten
        | Head::Notify
        | Head::Prepare
        | Head::Execute
        | Head::Deallocate
        | Head::Discard
        | Head::Declare
        | Head::Close
        | Head::Call
        | Head::Do
        | Head::Load
        | Head::Create
        | Head::Drop
        | Head::Alter
        | Head::Explain => false,
        Head::Begin
        | Head::Commit
        | Head::Rollback
        | Head::RollbackTo
        | Head::Savepoint
        | Head::Release
        | Head::PrepareTransaction
        | Head::CommitPrepared
        | Head::RollbackPrepared
        | Head::Show
        | Head::Fetch
        | Head::Copy
        | Head::Lock
        | Head::Select
        | Head::With
        | Head::Values
        | Head::Insert
        | Head::Update
        | Head::Delete
        | Head::Merge
        | Head::Vacuum
        | Head::Empty
        | Head::Other => true,
    }
}

/// Whether one of the words that matter may be there, in whatever way it is quoted.
#[inline]
fn may_have_signs(text: &[u8]) -> bool {
    let mut found = [0; PLACES];
    let mut rest = text;
    while let Some(window) = rest.first_chunk() {
        look(window, &mut found);
        rest = rest.get(PLACES..).unwrap_or_default();
    }
    match text.last_chunk() {
        Some(window) => look(window, &mut found),
        None => {
            let mut window = [0; PLACES + 2];
            window.iter_mut().zip(text).for_each(|(to, from)| *to = *from);
            look(&window, &mut found);
        }
    }
    found != [0; PLACES]
}

/// Marks the places where three letters of a word that matters begin. Written so that the compiler can do all of
/// them at once; setting a bit makes letters small, and nothing else into one of the letters looked for.
#[inline(always)]
#[expect(clippy::inline_always, reason = "a call for sixteen bytes costs as much as looking at them")]
fn look(window: &[u8; PLACES + 2], found: &mut [u8; PLACES]) {
    let [_, later @ ..] = window;
    let [_, last @ ..] = later;
    for (((found, first), second), third) in found.iter_mut().zip(window).zip(later).zip(last) {
        let (first, second, third) = (first | 0x20, second | 0x20, third | 0x20);
        let is = |letters: &[u8; 3]| {
            let [one, two, three] = letters.map(|letter| letter | 0x20);
            (first == one) & (second == two) & (third == three)
        };
        let quoted_unicode = (first == b'&') & (second == b'"');
        // The words of `scan`, each by letters that are rare elsewhere.
        let word = is(b"pg_")
            | is(b"tva") // nextval, setval, lastval
            | is(b"rva") // currval
            | is(b"et_") // set_config, set_limit
            | is(b"tse") // setseed
            | is(b"emp") // temp, temporary
            | is(b"xml"); // query_to_xml
        *found |= u8::from(word | quoted_unicode);
    }
}

const PLACES: usize = 16;
