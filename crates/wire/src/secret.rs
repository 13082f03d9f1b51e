//! What is known of a user's password, as `userlist.txt` and `pg_authid.rolpassword` spell it.

use std::fmt;

use zeroize::Zeroizing;

/// A stored secret. It is never printed: `Debug` shows the kind only.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    /// The password itself.
    Plain(Zeroizing<String>),
    /// `md5` followed by 32 hexadecimal digits: md5(password ‖ user).
    Md5(Zeroizing<String>),
    /// `SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey`, still as text.
    Scram(Zeroizing<String>),
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Secret::Plain(_) => "Secret::Plain(…)",
            Secret::Md5(_) => "Secret::Md5(…)",
            Secret::Scram(_) => "Secret::Scram(…)",
        })
    }
}
