//! The keys of RFC 5802, section 3, each a type of its own so that none is taken for another.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::ScramError;
use super::scram_secret::MAX_ITERATIONS;

macro_rules! key {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone)]
        pub struct $name(Zeroizing<[u8; KEY_LEN]>);

        impl $name {
            /// The key with these bytes.
            #[must_use]
            pub fn from_bytes(bytes: [u8; KEY_LEN]) -> $name {
                $name(Zeroizing::new(bytes))
            }

            pub(super) fn as_bytes(&self) -> &[u8; KEY_LEN] {
                &self.0
            }
        }

        /// Constant time.
        impl PartialEq for $name {
            fn eq(&self, other: &$name) -> bool {
                self.0.ct_eq(&*other.0).into()
            }
        }

        impl Eq for $name {}

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(…)"))
            }
        }
    };
}

key! {
    /// Proves that a client knows the password; as good as the password for logging in.
    ClientKey
}
key! {
    /// Hash of the client key; what a server keeps to check a proof.
    StoredKey
}
key! {
    /// Proves that a server knows the secret.
    ServerKey
}

impl ClientKey {
    /// What a server stores of it.
    #[must_use]
    pub fn stored_key(&self) -> StoredKey {
        StoredKey::from_bytes(Sha256::digest(self.as_bytes()).into())
    }

    /// The proof for one exchange. Its own inverse: a proof and the same signature give the client key.
    pub(super) fn proof(&self, stored_key: &StoredKey, auth_message: &[&[u8]]) -> [u8; KEY_LEN] {
        xor(self.as_bytes(), &hmac(stored_key.as_bytes(), auth_message))
    }

    /// The client key behind a proof; right only if its [`ClientKey::stored_key`] is.
    pub(super) fn from_proof(
        proof: &[u8; KEY_LEN],
        stored_key: &StoredKey,
        auth_message: &[&[u8]],
    ) -> ClientKey {
        ClientKey::from_bytes(xor(proof, &hmac(stored_key.as_bytes(), auth_message)))
    }
}

impl ServerKey {
    /// The server's signature of one exchange.
    pub(super) fn signature(&self, auth_message: &[&[u8]]) -> Zeroizing<[u8; KEY_LEN]> {
        hmac(self.as_bytes(), auth_message)
    }
}

/// Both keys of a password that has been normalised already.
pub(super) fn derive(
    password: &[u8],
    salt: &[u8],
    iterations: u32,
) -> Result<(ClientKey, ServerKey), ScramError> {
    if iterations > MAX_ITERATIONS {
        return Err(ScramError::TooManyIterations(iterations));
    }
    let mut salted = Zeroizing::new([0; KEY_LEN]);
    pbkdf2::pbkdf2_hmac::<Sha256>(password, salt, iterations, salted.as_mut());
    let client_key = ClientKey(hmac(&salted, &[b"Client Key"]));
    let server_key = ServerKey(hmac(&salted, &[b"Server Key"]));
    Ok((client_key, server_key))
}

/// HMAC-SHA-256 over the parts, joined.
pub(super) fn hmac(key: &[u8; KEY_LEN], parts: &[&[u8]]) -> Zeroizing<[u8; KEY_LEN]> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    for part in parts {
        mac.update(part);
    }
    Zeroizing::new(mac.finalize().into_bytes().into())
}

fn xor(a: &[u8; KEY_LEN], b: &[u8; KEY_LEN]) -> [u8; KEY_LEN] {
    let mut out = *a;
    for (byte, other) in out.iter_mut().zip(b) {
        *byte ^= other;
    }
    out
}

/// Length of every key, proof and signature: SHA-256's.
pub(super) const KEY_LEN: usize = 32;
