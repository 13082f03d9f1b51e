//! The name of a channel.

use std::fmt;
use std::sync::Arc;

/// What is listened to. The name as PostgreSQL has it: folded to lower case unless it was quoted, no longer than
/// an identifier may be.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Channel(Arc<[u8]>);

impl Channel {
    /// A channel of this name; `None`: no channel can have it.
    #[must_use]
    pub fn new(name: &[u8]) -> Option<Channel> {
        let possible = !name.is_empty() && name.len() <= LONGEST && !name.contains(&0);
        possible.then(|| Channel(name.into()))
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &[u8] {
        &self.0
    }

    /// Appends a statement about this channel.
    pub(crate) fn write(&self, verb: &str, out: &mut Vec<u8>) {
        out.extend_from_slice(verb.as_bytes());
        out.extend_from_slice(b" \"");
        for &byte in &*self.0 {
            if byte == b'"' {
                out.push(b'"');
            }
            out.push(byte);
        }
        out.push(b'"');
    }
}

impl std::borrow::Borrow<[u8]> for Channel {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// PostgreSQL's identifiers have at most so many bytes.
const LONGEST: usize = 63;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_quoted_so_that_it_stays_one() {
        let mut out = Vec::new();
        Channel::new(br#"a"; drop table t; --"#).unwrap().write("LISTEN", &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), r#"LISTEN "a""; drop table t; --""#);
        assert_eq!(Channel::new(b""), None);
        assert_eq!(Channel::new(b"a\0b"), None);
        assert_eq!(Channel::new(&[b'x'; 64]), None);
    }
}
