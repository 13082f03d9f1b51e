//! The client's side: what Howdah is towards PostgreSQL.

use std::fmt;

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::keys;
use super::message::{Gs2, Nonce, ServerFirst, encode, parse_server_final};
use super::{ClientKey, ScramError, ServerKey, normalise};

/// What a client proves itself with.
#[derive(Clone)]
pub enum ClientCredential {
    /// The password.
    Password(Zeroizing<String>),
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
            ClientCredential::Password(_) => "ClientCredential::Password(…)",
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
        let (client_key, server_key) = match self.credential {
            ClientCredential::Password(password) => {
                keys::derive(&normalise(password.as_bytes()), &first.salt, first.iterations)?
            }
            ClientCredential::Keys { client_key, server_key } => (client_key, server_key),
        };
        let without_proof = format!("c={},r={}", Gs2::Unsupported.channel_binding(), first.nonce);
        let auth_message = [self.first_bare.as_bytes(), b",", server_first, b",", without_proof.as_bytes()];
        let proof = client_key.proof(&client_key.stored_key(), &auth_message);
        let signature = server_key.signature(&auth_message);
        let message = format!("{without_proof},p={}", encode(&proof)).into_bytes();
        Ok((ClientAwaitsFinal { signature }, message))
    }
}

/// Has sent its proof and waits for the server's.
pub struct ClientAwaitsFinal {
    signature: Zeroizing<[u8; keys::KEY_LEN]>,
}

impl ClientAwaitsFinal {
    /// Checks the server's final message: does it know the secret too?
    ///
    /// # Errors
    /// The message is malformed or an error, or the signature is wrong.
    pub fn verify(self, server_final: &[u8]) -> Result<(), ScramError> {
        let signature = parse_server_final(server_final)?;
        if bool::from(signature.ct_eq(&*self.signature)) {
            Ok(())
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
        ClientCredential::Password(Zeroizing::new("pencil".to_owned()))
    }

    const SERVER_FIRST: &str =
        "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";

    fn rfc_7677() -> ClientAwaitsFirst {
        let (client, first) =
            ScramClient::start_as("user", pencil(), Nonce::from_text("rOprNGfwEbeRWgbNEkqO"));
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
        assert_eq!(client.verify(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="), Ok(()));
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
