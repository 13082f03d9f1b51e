//! What is known of a user's password, as `userlist.txt` and `pg_authid.rolpassword` spell it.

use std::fmt;

use zeroize::Zeroizing;

use crate::md5;
use crate::sasl::ScramSecret;

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

impl Secret {
    /// Recognises what a text is, by PostgreSQL's rules: what is no proper hash is a password.
    #[must_use]
    pub fn parse(text: &str) -> Secret {
        let text = Zeroizing::new(text.to_owned());
        if md5::is_stored(&text) {
            Secret::Md5(text)
        } else if ScramSecret::parse(&text).is_some() {
            Secret::Scram(text)
        } else {
            Secret::Plain(text)
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_is_no_proper_hash_is_a_password() {
        let kind = |text: &str| format!("{:?}", Secret::parse(text));
        assert_eq!(kind("md520c46e3762c864548e296b33c3406aa9"), "Secret::Md5(…)");
        assert_eq!(kind("md5 of what"), "Secret::Plain(…)");
        let scram = ScramSecret::mock("u", &[1; 32], 4096).to_text();
        assert_eq!(kind(&scram), "Secret::Scram(…)");
        assert_eq!(kind(&scram[..scram.len() - 1]), "Secret::Plain(…)");
        assert_eq!(kind(""), "Secret::Plain(…)");
    }
}
