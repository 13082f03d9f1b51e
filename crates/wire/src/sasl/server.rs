//! The server's side: what Howdah is towards its clients.

use std::fmt;

use super::message::{ClientFinal, ClientFirst, Gs2, Nonce, encode};
use super::{ClientKey, ScramError, ScramSecret};

/// Whether a right proof may be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The user exists.
    Real,
    /// The exchange is played to its end so that nobody learns that there is no such user.
    Mock,
}

/// The server's side of an exchange; its first message has been sent.
pub struct ScramServer {
    secret: ScramSecret,
    standing: Standing,
    gs2: Gs2,
    /// Both nonces, joined.
    nonce: String,
    /// The two first messages, joined as the signatures want them.
    first_messages: String,
}

impl ScramServer {
    /// Answers a client's first message; the bytes are the server's first message.
    ///
    /// # Errors
    /// The message is malformed or asks for what we do not do.
    pub fn start(
        client_first: &[u8],
        nonce: &Nonce,
        secret: ScramSecret,
        standing: Standing,
    ) -> Result<(ScramServer, Vec<u8>), ScramError> {
        let first = ClientFirst::parse(client_first)?;
        let nonce = format!("{}{}", first.nonce, nonce.as_str());
        let server_first = format!("r={nonce},s={},i={}", encode(&secret.salt), secret.iterations);
        let first_messages = format!("{},{server_first}", first.bare);
        let server = ScramServer { secret, standing, gs2: first.gs2, nonce, first_messages };
        Ok((server, server_first.into_bytes()))
    }

    /// Checks a client's final message.
    ///
    /// # Errors
    /// The message is malformed or not of this exchange, or the proof is wrong.
    pub fn verify(self, client_final: &[u8]) -> Result<Verified, ScramError> {
        let last = ClientFinal::parse(client_final)?;
        if last.channel_binding != self.gs2.channel_binding() {
            return Err(ScramError::ChannelBindingRequired);
        }
        if last.nonce != self.nonce {
            return Err(ScramError::NonceMismatch);
        }
        let auth_message = [self.first_messages.as_bytes(), b",", last.without_proof.as_bytes()];
        let client_key = ClientKey::from_proof(&last.proof, &self.secret.stored_key, &auth_message);
        let right = client_key.stored_key() == self.secret.stored_key;
        if !right || self.standing == Standing::Mock {
            return Err(ScramError::WrongProof);
        }
        let signature = self.secret.server_key.signature(&auth_message);
        let server_final = format!("v={}", encode(&*signature)).into_bytes();
        Ok(Verified { server_final, client_key })
    }
}

impl fmt::Debug for ScramServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ScramServer({:?}, …)", self.standing)
    }
}

/// A client has proved that it knows the password.
#[derive(Debug)]
pub struct Verified {
    /// The server's final message.
    pub server_final: Vec<u8>,
    /// Learnt from the proof: with it one can log in wherever the same secret is stored.
    pub client_key: ClientKey,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use zeroize::Zeroizing;

    use super::super::{Attribute, ClientCredential, ScramClient};
    use super::*;

    const CLIENT_FIRST: &[u8] = b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
    const CLIENT_FINAL: &str = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                                p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";

    fn secret() -> ScramSecret {
        ScramSecret::parse(
            "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==\
             $WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=",
        )
        .unwrap()
    }

    fn rfc_7677(standing: Standing) -> ScramServer {
        let nonce = Nonce::from_text("%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0");
        let (server, first) = ScramServer::start(CLIENT_FIRST, &nonce, secret(), standing).unwrap();
        assert_eq!(
            String::from_utf8(first).unwrap(),
            "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
        );
        server
    }

    #[test]
    fn rfc_7677_section_3() {
        let verified = rfc_7677(Standing::Real).verify(CLIENT_FINAL.as_bytes()).unwrap();
        assert_eq!(verified.server_final, b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
        assert_eq!(verified.client_key, secret().client_key(b"pencil").unwrap());
    }

    #[test]
    fn a_right_proof_does_not_help_somebody_who_does_not_exist() {
        let error = rfc_7677(Standing::Mock).verify(CLIENT_FINAL.as_bytes()).unwrap_err();
        assert_eq!(error, ScramError::WrongProof);
    }

    #[test]
    fn a_final_message_of_another_exchange_or_without_proof_is_refused() {
        let cases = [
            (CLIENT_FINAL.replace("biws", "eSws"), ScramError::ChannelBindingRequired),
            (CLIENT_FINAL.replace("r=rO", "r=RO"), ScramError::NonceMismatch),
            (CLIENT_FINAL.replace("k0,", "k0x,"), ScramError::NonceMismatch),
            (CLIENT_FINAL.replace("p=dH", "p=eH"), ScramError::WrongProof),
            (CLIENT_FINAL.replace(",p=", ",q="), ScramError::Malformed(Attribute::Proof)),
            (CLIENT_FINAL.replace("VQ=", "VQ"), ScramError::Malformed(Attribute::Proof)),
            // An extension is allowed, but signed: here it is not.
            (CLIENT_FINAL.replace(",p=", ",x=y,p="), ScramError::WrongProof),
            (String::new(), ScramError::Malformed(Attribute::Proof)),
        ];
        for (message, error) in cases {
            assert_eq!(rfc_7677(Standing::Real).verify(message.as_bytes()).unwrap_err(), error, "{message}");
        }
    }

    fn exchange(credential: ClientCredential, secret: ScramSecret) -> Result<ClientKey, ScramError> {
        let (client, first) = ScramClient::start(credential, Nonce::from_random([1; 18]));
        let (server, server_first) =
            ScramServer::start(&first, &Nonce::from_random([2; 18]), secret, Standing::Real)?;
        let (client, last) = client.answer(&server_first)?;
        let verified = server.verify(&last)?;
        client.verify(&verified.server_final)?;
        Ok(verified.client_key)
    }

    #[test]
    fn the_key_learnt_from_a_proof_opens_every_door_with_the_same_secret() {
        let password = |text: &str| ClientCredential::Password {
            password: Zeroizing::new(text.to_owned()),
            derived: Vec::new(),
        };
        let client_key = exchange(password("pencil"), secret()).unwrap();
        let server_key = secret().server_key;
        let keys = ClientCredential::Keys { client_key, server_key: server_key.clone() };
        assert!(exchange(keys.clone(), secret()).is_ok());

        assert_eq!(exchange(password("pencils"), secret()).unwrap_err(), ScramError::WrongProof);
        let other_salt = ScramSecret::derive(b"pencil", vec![9; 16], 4096).unwrap();
        assert_eq!(exchange(keys, other_salt).unwrap_err(), ScramError::WrongProof);
    }

    #[test]
    fn a_mock_exchange_looks_like_a_real_one() {
        let seed = [3; 32];
        let first = |secret, standing| {
            let start = ScramServer::start(CLIENT_FIRST, &Nonce::from_random([2; 18]), secret, standing);
            String::from_utf8(start.unwrap().1).unwrap()
        };
        let shape = |message: String| -> Vec<(String, usize)> {
            message.split(',').map(|part| (part[..2].to_owned(), part.len())).collect()
        };
        let real = first(ScramSecret::derive(b"x", vec![1; 16], 4096).unwrap(), Standing::Real);
        let mock = first(ScramSecret::mock("ghost", &seed, 4096), Standing::Mock);
        assert_eq!(shape(real), shape(mock.clone()));
        assert_eq!(mock, first(ScramSecret::mock("ghost", &seed, 4096), Standing::Mock));
    }

    proptest! {
        #[test]
        fn nothing_a_client_sends_panics_or_passes(first: Vec<u8>, last: Vec<u8>, nonce in "[!-+.-~]{1,300}") {
            let _ = ScramServer::start(&first, &Nonce::from_random([2; 18]), secret(), Standing::Real);
            let first = format!("n,,n=,r={nonce}");
            let start = ScramServer::start(first.as_bytes(), &Nonce::from_random([2; 18]), ScramSecret::mock("x", &[0; 32], 1), Standing::Real);
            if let Ok((server, _)) = start {
                prop_assert!(server.verify(&last).is_err());
            }
        }

        #[test]
        fn nothing_a_server_sends_panics_or_passes(first: Vec<u8>, tail in ".{0,300}", last: Vec<u8>) {
            let keys = || ClientCredential::Keys { client_key: ClientKey::from_bytes([1; 32]), server_key: secret().server_key };
            let start = || ScramClient::start(keys(), Nonce::from_text("abc")).0;
            prop_assert!(start().answer(&first).is_err());
            if let Ok((client, _)) = start().answer(format!("r=abc{tail}").as_bytes()) {
                prop_assert!(client.verify(&last).is_err());
            }
            let (client, _) = start().answer(b"r=abcd,s=AAAA,i=1").unwrap();
            prop_assert!(client.verify(&last).is_err());
        }
    }
}
