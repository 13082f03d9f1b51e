//! What a server keeps of a password: `SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey`.

use std::fmt;

use zeroize::Zeroizing;

use super::keys::{self, hmac};
use super::message::{decode_key, decode_salt, encode, parse_iterations};
use super::{Attribute, ClientKey, ScramError, ServerKey, StoredKey, normalise};

/// A SCRAM secret, decoded.
#[derive(Clone, PartialEq, Eq)]
pub struct ScramSecret {
    /// Rounds of key derivation.
    pub iterations: u32,
    /// Salt of the key derivation.
    pub salt: Vec<u8>,
    /// Checks a client's proof.
    pub stored_key: StoredKey,
    /// Signs for the server.
    pub server_key: ServerKey,
}

impl ScramSecret {
    /// Reads the text form; `None` if it is anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<ScramSecret> {
        let rest = text.strip_prefix(PREFIX)?;
        let (derivation, keys) = rest.split_once('$')?;
        let (iterations, salt) = derivation.split_once(':')?;
        let (stored_key, server_key) = keys.split_once(':')?;
        Some(ScramSecret {
            iterations: parse_iterations(iterations).ok()?,
            salt: decode_salt(salt).ok()?,
            stored_key: StoredKey::from_bytes(decode_key(stored_key, Attribute::Proof).ok()?),
            server_key: ServerKey::from_bytes(decode_key(server_key, Attribute::ServerSignature).ok()?),
        })
    }

    /// Hashes a password. Slow by intention: 0.4 ms for 4,096 iterations.
    ///
    /// # Errors
    /// More than [`MAX_ITERATIONS`].
    pub fn derive(password: &[u8], salt: Vec<u8>, iterations: u32) -> Result<ScramSecret, ScramError> {
        let (client_key, server_key) = keys::derive(&normalise(password), &salt, iterations)?;
        Ok(ScramSecret { iterations, salt, stored_key: client_key.stored_key(), server_key })
    }

    /// A secret nobody has the password of, for a user who does not exist: the same user always gets the same
    /// salt, and only the holder of `seed` can tell it from a real one.
    #[must_use]
    pub fn mock(user: &str, seed: &[u8; 32], iterations: u32) -> ScramSecret {
        let secret = |purpose: &[u8]| *hmac(seed, &[purpose, user.as_bytes()]);
        ScramSecret {
            iterations,
            salt: mock_salt(user, seed),
            stored_key: StoredKey::from_bytes(secret(b"mock stored key ")),
            server_key: ServerKey::from_bytes(secret(b"mock server key ")),
        }
    }

    /// The client key, if `password` is the one behind this secret. Slow, as [`ScramSecret::derive`].
    ///
    /// # Errors
    /// The password is wrong, or the secret has more than [`MAX_ITERATIONS`].
    pub fn client_key(&self, password: &[u8]) -> Result<ClientKey, ScramError> {
        let (client_key, _) = keys::derive(&normalise(password), &self.salt, self.iterations)?;
        if client_key.stored_key() == self.stored_key { Ok(client_key) } else { Err(ScramError::WrongProof) }
    }

    /// The text form.
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        Zeroizing::new(format!(
            "{PREFIX}{}:{}${}:{}",
            self.iterations,
            encode(&self.salt),
            encode(self.stored_key.as_bytes()),
            encode(self.server_key.as_bytes()),
        ))
    }
}

/// The salt a user has as long as `seed` lives. Howdah hashes plain passwords with it too, so that a user it
/// knows shows the same kind of salt as one it does not.
#[must_use]
pub fn mock_salt(user: &str, seed: &[u8; 32]) -> Vec<u8> {
    hmac(seed, &[b"mock salt ", user.as_bytes()]).iter().take(SALT_LEN).copied().collect()
}

impl fmt::Debug for ScramSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ScramSecret {{ iterations: {}, … }}", self.iterations)
    }
}

/// Most rounds we compute ourselves. PostgreSQL's default is 4,096, the highest common advice 600,000; a
/// million costs a core 0.1 s, for which a worker's other clients wait. A hostile server could ask for 2³¹.
pub const MAX_ITERATIONS: u32 = 1_000_000;

const PREFIX: &str = "SCRAM-SHA-256$";
/// As PostgreSQL's.
const SALT_LEN: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    // The password of RFC 7677's example.
    const TEXT: &str = "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==\
        $WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";

    #[test]
    fn text_and_password_give_the_same_secret() {
        let secret = ScramSecret::parse(TEXT).unwrap();
        assert_eq!(secret, ScramSecret::derive(b"pencil", secret.salt.clone(), 4096).unwrap());
        assert_eq!(*secret.to_text(), TEXT);
        assert!(secret.client_key(b"pencil").is_ok());
        assert_eq!(secret.client_key(b"pencils"), Err(ScramError::WrongProof));
    }

    #[test]
    fn anything_else_is_no_secret() {
        for text in [
            "",
            "SCRAM-SHA-256$",
            "SCRAM-SHA-256$4096:AAAA$AAAA:AAAA",
            &TEXT.replace("4096", "0"),
            &TEXT.replace("4096", "-1"),
            &TEXT.replace("SHA-256", "SHA-1"),
            &TEXT.replace("W22Z", "W2!Z"),
            &format!("{TEXT}="),
            &TEXT[..TEXT.len() - 1],
            &TEXT.replace("W22ZaJ0SNY7soEsUEjb6gQ==", &"AAAA".repeat(400)),
        ] {
            assert_eq!(ScramSecret::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_mock_is_steady_for_its_user_and_different_for_the_next() {
        let seed = [7; 32];
        let mock = ScramSecret::mock("ghost", &seed, 4096);
        assert_eq!(mock, ScramSecret::mock("ghost", &seed, 4096));
        assert_eq!(mock.salt.len(), 16);
        assert_ne!(mock.salt, ScramSecret::mock("spectre", &seed, 4096).salt);
        assert_ne!(mock.salt, ScramSecret::mock("ghost", &[8; 32], 4096).salt);
        assert_ne!(mock.stored_key.as_bytes(), mock.server_key.as_bytes());
    }

    #[test]
    fn debug_shows_no_key() {
        let shown = format!("{:?}", ScramSecret::parse(TEXT).unwrap());
        assert_eq!(shown, "ScramSecret { iterations: 4096, … }");
    }

    #[test]
    fn nobody_makes_us_hash_for_minutes() {
        let error = ScramSecret::derive(b"x", vec![0; 16], MAX_ITERATIONS + 1).unwrap_err();
        assert_eq!(error, ScramError::TooManyIterations(MAX_ITERATIONS + 1));
    }
}
