//! The client's side: what Howdah is towards PostgreSQL.

use std::fmt;
use std::sync::Arc;

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::keys;
use super::message::{Gs2, Nonce, ServerFirst, encode, parse_server_final};
use super::{ClientKey, DerivedKeys, ScramError, ServerKey};

/// What a client proves itself with.
#[derive(Clone)]
pub enum ClientCredential {
    /// The password.
    Password {
        /// In clear.
        password: Zeroizing<String>,
        /// What earlier exchanges have derived; spares the hashing where it fits.
        derived: Vec<Arc<DerivedKeys>>,
    },
    /// The keys derived from it elsewhere; salt and iterations of the server are then of no interest.
    Keys {
        /// Proves us to the server.
        client_key: ClientKey,
        /// Proves the server to us.
        server_key: ServerKey,
    },
}

impl fmt::Debug for ClientCredential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ClientCredential::Password { .. } => "ClientCredential::Password(…)",
            ClientCredential::Keys { .. } => "ClientCredential::Keys(…)",
        })
    }
}

/// The client's side of an exchange, before its first word.
#[derive(Debug)]
pub struct ScramClient;

impl ScramClient {
    /// Begins an exchange; the bytes are the client's first message.
    ///
    /// The user name in it is empty, as libpq's is: the startup packet has said it.
    #[must_use]
    pub fn start(credential: ClientCredential, nonce: Nonce) -> (ClientAwaitsFirst, Vec<u8>) {
        ScramClient::start_as("", credential, nonce)
    }

    fn start_as(user: &str, credential: ClientCredential, nonce: Nonce) -> (ClientAwaitsFirst, Vec<u8>) {
        let first_bare = format!("n={user},r={}", nonce.as_str());
        let message = format!("n,,{first_bare}").into_bytes();
        (ClientAwaitsFirst { credential, nonce, first_bare }, message)
    }
}

/// Has sent its first message.
#[derive(Debug)]
pub struct ClientAwaitsFirst {
    credential: ClientCredential,
    nonce: Nonce,
    first_bare: String,
}

impl ClientAwaitsFirst {
    /// Answers the server's first message; the bytes are the client's final message.
    ///
    /// # Errors
    /// The message is malformed, is not an answer to ours, or asks for too many iterations.
    pub fn answer(self, server_first: &[u8]) -> Result<(ClientAwaitsFinal, Vec<u8>), ScramError> {
        let first = ServerFirst::parse(server_first)?;
        // The server must have added something of its own.
        if !first.nonce.starts_with(self.nonce.as_str()) || first.nonce.len() == self.nonce.as_str().len() {
            return Err(ScramError::NonceMismatch);
        }
        let mut fresh = None;
        let (client_key, server_key) = match self.credential {
            ClientCredential::Password { password, derived } => {
                let fits = |known: &Arc<DerivedKeys>| known.is_for(&password, &first.salt, first.iterations);
                let keys = match derived.into_iter().find(fits) {
                    Some(known) => known,
                    None => {
                        let hashed = DerivedKeys::derive(password, first.salt, first.iterations)?;
                        Arc::clone(fresh.insert(Arc::new(hashed)))
                    }
                };
                (keys.client_key.clone(), keys.server_key.clone())
            }
            ClientCredential::Keys { client_key, server_key } => (client_key, server_key),
        };
        let without_proof = format!("c={},r={}", Gs2::Unsupported.channel_binding(), first.nonce);
        let auth_message = [self.first_bare.as_bytes(), b",", server_first, b",", without_proof.as_bytes()];
        let proof = client_key.proof(&client_key.stored_key(), &auth_message);
        let signature = server_key.signature(&auth_message);
        let message = format!("{without_proof},p={}", encode(&proof)).into_bytes();
        Ok((ClientAwaitsFinal { signature, fresh }, message))
    }
}

/// Has sent its proof and waits for the server's.
pub struct ClientAwaitsFinal {
    signature: Zeroizing<[u8; keys::KEY_LEN]>,
    fresh: Option<Arc<DerivedKeys>>,
}

impl ClientAwaitsFinal {
    /// Checks the server's final message: does it know the secret too? Returns what had to be hashed, if
    /// anything.
    ///
    /// # Errors
    /// The message is malformed or an error, or the signature is wrong.
    pub fn verify(self, server_final: &[u8]) -> Result<Option<Arc<DerivedKeys>>, ScramError> {
        let signature = parse_server_final(server_final)?;
        if bool::from(signature.ct_eq(&*self.signature)) {
            Ok(self.fresh)
        } else {
            Err(ScramError::WrongServerSignature)
        }
    }
}

impl fmt::Debug for ClientAwaitsFinal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientAwaitsFinal(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Attribute, MAX_ITERATIONS, MAX_NONCE};
    use super::*;

    fn pencil() -> ClientCredential {
        password("pencil", Vec::new())
    }

    fn password(text: &str, derived: Vec<Arc<DerivedKeys>>) -> ClientCredential {
        ClientCredential::Password { password: Zeroizing::new(text.to_owned()), derived }
    }

    const SERVER_FIRST: &str =
        "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";

    const SERVER_FINAL: &[u8] = b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";

    fn rfc_7677() -> ClientAwaitsFirst {
        rfc_7677_with(pencil())
    }

    fn rfc_7677_with(credential: ClientCredential) -> ClientAwaitsFirst {
        let (client, first) =
            ScramClient::start_as("user", credential, Nonce::from_text("rOprNGfwEbeRWgbNEkqO"));
        assert_eq!(first, b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
        client
    }

    #[test]
    fn rfc_7677_section_3() {
        let (client, last) = rfc_7677().answer(SERVER_FIRST.as_bytes()).unwrap();
        assert_eq!(
            String::from_utf8(last).unwrap(),
            "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
             p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
        );
        assert!(client.verify(SERVER_FINAL).is_ok());
    }

    #[test]
    fn what_was_hashed_once_is_handed_back_and_not_hashed_again() {
        let (client, hashed) = rfc_7677().answer(SERVER_FIRST.as_bytes()).unwrap();
        let derived = client.verify(SERVER_FINAL).unwrap().expect("the first exchange hashes");
        assert!(derived.is_of("pencil") && !derived.is_of("pencils"));

        let again = rfc_7677_with(password("pencil", vec![derived]));
        let (client, remembered) = again.answer(SERVER_FIRST.as_bytes()).unwrap();
        assert_eq!(remembered, hashed);
        assert_eq!(client.verify(SERVER_FINAL), Ok(None));
    }

    #[test]
    fn remembered_keys_answer_for_their_password_salt_and_iterations_only() {
        let (_, hashed) = rfc_7677().answer(SERVER_FIRST.as_bytes()).unwrap();
        let salt = ServerFirst::parse(SERVER_FIRST.as_bytes()).unwrap().salt;
        let answer = |forged: DerivedKeys| {
            let client = rfc_7677_with(password("pencil", vec![Arc::new(forged)]));
            client.answer(SERVER_FIRST.as_bytes()).unwrap().1
        };
        // Wrong keys show whether they are used.
        assert_ne!(answer(DerivedKeys::forged("pencil", &salt, 4096)), hashed);
        assert_eq!(answer(DerivedKeys::forged("pencils", &salt, 4096)), hashed);
        assert_eq!(answer(DerivedKeys::forged("pencil", b"other", 4096)), hashed);
        assert_eq!(answer(DerivedKeys::forged("pencil", &salt, 4097)), hashed);
    }

    #[test]
    fn a_server_that_does_not_know_the_secret_is_not_believed() {
        let final_messages = [
            (
                "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G5=",
                ScramError::Malformed(Attribute::ServerSignature),
            ),
            ("v=7rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=", ScramError::WrongServerSignature),
            ("e=invalid-proof", ScramError::Refused),
            ("", ScramError::Malformed(Attribute::ServerSignature)),
        ];
        for (message, error) in final_messages {
            let (client, _) = rfc_7677().answer(SERVER_FIRST.as_bytes()).unwrap();
            assert_eq!(client.verify(message.as_bytes()), Err(error), "{message:?}");
        }
    }

    #[test]
    fn the_servers_nonce_must_prolong_ours() {
        for nonce in ["rOprNGfwEbeRWgbNEkqO", "rOprNGfwEbeRWgbNEkq", "xOprNGfwEbeRWgbNEkqOabc"] {
            let message = format!("r={nonce},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096");
            assert_eq!(rfc_7677().answer(message.as_bytes()).unwrap_err(), ScramError::NonceMismatch);
        }
    }

    // docs/lessons.md, CVE-2026-6665: a server's nonce becomes part of what we send.
    #[test]
    fn a_nonce_of_any_length_is_answered_or_refused() {
        let keys = || ClientCredential::Keys {
            client_key: ClientKey::from_bytes([1; 32]),
            server_key: ServerKey::from_bytes([2; 32]),
        };
        for len in (4..600).chain([2000, 2048, 4096, 65_536]) {
            let nonce = format!("abc{}", "x".repeat(len - 3));
            let (client, _) = ScramClient::start(keys(), Nonce::from_text("abc"));
            match client.answer(format!("r={nonce},s=AAAA,i=1").as_bytes()) {
                Ok((_, last)) => {
                    assert!(len <= 2 * MAX_NONCE);
                    assert!(String::from_utf8(last).unwrap().starts_with(&format!("c=biws,r={nonce},p=")));
                }
                Err(
                    ScramError::TooLong { attribute: Attribute::Nonce, .. } | ScramError::MessageTooLong(_),
                ) => {
                    assert!(len > 2 * MAX_NONCE);
                }
                Err(error) => panic!("{len}: {error}"),
            }
        }
    }

    #[test]
    fn a_server_cannot_make_us_hash_for_minutes() {
        let message = SERVER_FIRST.replace("i=4096", "i=2147483647");
        let error = rfc_7677().answer(message.as_bytes()).unwrap_err();
        assert_eq!(error, ScramError::TooManyIterations(2_147_483_647));
        const { assert!(MAX_ITERATIONS < 2_147_483_647) };
    }
}
