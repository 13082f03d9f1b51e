//! Names in error messages: what a server calls its statements is none of the client's business.

use howdah_wire::ErrorResponse;

use super::statement::NAME_PREFIX;
use super::{Kind, Session};

/// The message of `error` with the server's statement names replaced by the client's. `None`: there are none.
/// `changing`: it answers the oldest change to the client's names that is under way.
pub(super) fn with_client_names(session: &Session, error: &ErrorResponse, changing: bool) -> Option<String> {
    let prefix = std::str::from_utf8(NAME_PREFIX).expect("the prefix is ASCII");
    if is_about_unnamed(error) {
        let missing = std::str::from_utf8(MISSING_UNNAMED).expect("the name is ASCII");
        return Some(
            error.message.replace(&format!("prepared statement \"{missing}\""), "unnamed prepared statement"),
        );
    }
    let mut renamed = String::with_capacity(error.message.len());
    let mut left = error.message.as_str();
    let mut found = false;
    while let Some((before, after)) = left.split_once(prefix) {
        renamed.push_str(before);
        let digits = after.bytes().take_while(u8::is_ascii_digit).count();
        let (number, rest) = after.split_at(digits);
        let name = number
            .parse()
            .ok()
            .and_then(|id| session.statements.as_ref()?.name_of(id, changing))
            .map(String::from_utf8_lossy);
        match name {
            Some(name) => {
                renamed.push_str(&name);
                found = true;
            }
            None => {
                renamed.push_str(prefix);
                renamed.push_str(number);
            }
        }
        left = rest;
    }
    renamed.push_str(left);
    found.then_some(renamed)
}

/// It names what was bound in place of the unnamed statement.
pub(super) fn is_about_unnamed(error: &ErrorResponse) -> bool {
    memchr::memmem::find(error.message.as_bytes(), MISSING_UNNAMED).is_some()
}

/// An error about the unnamed statement comes from where PostgreSQL looks for that one: not from where it looked for
/// the name that stood in its place. The line is another in each version.
pub(super) fn give_unnamed_source(error: &mut ErrorResponse, asked: Kind) {
    let routine = if asked == Kind::Describe { DESCRIBE_ROUTINE } else { BIND_ROUTINE };
    error.other.retain(|(code, _)| *code != b'L');
    for (code, value) in &mut error.other {
        match code {
            b'F' => *value = SOURCE.to_vec(),
            b'R' => *value = routine.to_vec(),
            _ => {}
        }
    }
}

/// A name no server knows, bound in place of a statement that is refused.
pub(super) const REFUSED: &[u8] = b"HOWDAH_refused";

/// A name no server knows, bound in place of an unnamed statement that is not this client's.
pub(super) const MISSING_UNNAMED: &[u8] = b"HOWDAH_unnamed";

const SOURCE: &[u8] = b"postgres.c";
const BIND_ROUTINE: &[u8] = b"exec_bind_message";
const DESCRIBE_ROUTINE: &[u8] = b"exec_describe_statement_message";
