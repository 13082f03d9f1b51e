//! What hashing a password has brought, kept together with all it was hashed from.
//!
//! A server shows the same salt at each login, so a client that remembers these need not hash again. They answer
//! for no other password, salt or number of iterations. Where and how long they are kept is not decided here.

use std::fmt;

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::{ClientKey, ScramError, ServerKey, keys, normalise};

/// The keys of one password under one salt.
#[derive(Clone)]
pub struct DerivedKeys {
    password: Zeroizing<String>,
    salt: Vec<u8>,
    iterations: u32,
    pub(super) client_key: ClientKey,
    pub(super) server_key: ServerKey,
}

impl DerivedKeys {
    /// Hashes. Slow by intention: 0.4 ms for 4,096 iterations.
    pub(super) fn derive(
        password: Zeroizing<String>,
        salt: Vec<u8>,
        iterations: u32,
    ) -> Result<DerivedKeys, ScramError> {
        let (client_key, server_key) = keys::derive(&normalise(password.as_bytes()), &salt, iterations)?;
        Ok(DerivedKeys { password, salt, iterations, client_key, server_key })
    }

    /// Whether these belong to this password. Constant time.
    #[must_use]
    pub fn is_of(&self, password: &str) -> bool {
        self.password.as_bytes().ct_eq(password.as_bytes()).into()
    }

    /// Whether hashing with what this server has said would bring nothing new. Salts are public.
    pub(super) fn is_for(&self, password: &str, salt: &[u8], iterations: u32) -> bool {
        self.salt == salt && self.iterations == iterations && self.is_of(password)
    }
}

/// Equal input gives equal keys.
impl PartialEq for DerivedKeys {
    fn eq(&self, other: &DerivedKeys) -> bool {
        self.is_for(&other.password, &other.salt, other.iterations)
    }
}

impl Eq for DerivedKeys {}

impl fmt::Debug for DerivedKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DerivedKeys(…)")
    }
}

#[cfg(test)]
impl DerivedKeys {
    /// Keys that no hashing would bring, to be recognised by.
    pub(super) fn forged(password: &str, salt: &[u8], iterations: u32) -> DerivedKeys {
        DerivedKeys {
            password: Zeroizing::new(password.to_owned()),
            salt: salt.to_vec(),
            iterations,
            client_key: ClientKey::from_bytes([1; keys::KEY_LEN]),
            server_key: ServerKey::from_bytes([2; keys::KEY_LEN]),
        }
    }
}
