//! How a client proves who it is: the challenge by `auth_type` and the kind of its secret, and its answer.
//!
//! Who does not exist is challenged like everybody else and fails at the end like a wrong password. (`auth_type`
//! md5 challenges users with a SCRAM secret by SCRAM and all others by MD5, as PgBouncer does; so it tells who
//! has a SCRAM secret. With `plain`, checking a SCRAM secret takes 0.4 ms, which a patient stranger can measure.)

use std::sync::Arc;

use howdah_wire::sasl::{MECHANISM, Nonce, ScramError, ScramServer, Standing};
use howdah_wire::secret::Secret;
use howdah_wire::{ErrorResponse, backend, frontend, md5};

use super::{Credentials, LoginSeeds};
use crate::refusal;
use crate::settings::{AuthMethod, Settings};

/// What is the matter with an answer: refused, or not to be understood.
pub(super) enum Failure {
    Refused(ErrorResponse),
    Protocol(ErrorResponse),
}

/// A challenge that waits for an answer.
pub(super) struct Proof {
    user: Arc<str>,
    /// What the user is checked against; `None`: there is no such user, and only we know.
    secret: Option<Secret>,
    challenge: Challenge,
}

enum Challenge {
    Cleartext,
    Md5 { salt: [u8; 4] },
    Sasl { nonce: Nonce, iterations: u32 },
    SaslFinal(Box<ScramServer>),
}

impl Proof {
    /// Writes the challenge for this user; `None` if none is needed.
    pub(super) fn begin(
        user: &Arc<str>,
        settings: &Settings,
        seeds: &LoginSeeds,
        out: &mut Vec<u8>,
    ) -> Result<Option<Proof>, ErrorResponse> {
        let auth = &settings.auth;
        let entry = settings.secrets.get(&**user);
        let sasl = || Challenge::Sasl {
            nonce: Nonce::from_random(seeds.scram_nonce),
            iterations: auth.scram_iterations.max(1),
        };
        let challenge = match (auth.method, entry) {
            (AuthMethod::Any, _) | (AuthMethod::Trust, Some(_)) => return Ok(None),
            (AuthMethod::Trust, None) => return Err(refusal::trust_failed()),
            (AuthMethod::Plain, _) => Challenge::Cleartext,
            (AuthMethod::ScramSha256, _) | (AuthMethod::Md5, Some(Secret::Scram(_))) => sasl(),
            (AuthMethod::Md5, _) => Challenge::Md5 { salt: seeds.md5_salt },
        };
        match &challenge {
            Challenge::Cleartext => backend::write_authentication_cleartext(out),
            Challenge::Md5 { salt } => backend::write_authentication_md5(out, *salt),
            _ => backend::write_authentication_sasl(out, &[MECHANISM]),
        }
        // An empty password in userlist.txt is for those who need none: it opens no door that asks for one.
        let secret = entry.filter(|secret| !matches!(secret, Secret::Plain(text) if text.is_empty()));
        Ok(Some(Proof { user: Arc::clone(user), secret: secret.cloned(), challenge }))
    }

    /// Dealing with the next answer costs a hashing.
    pub(super) fn is_costly(&self, credentials: &Credentials) -> bool {
        match (&self.challenge, &self.secret) {
            (Challenge::Cleartext, Some(Secret::Scram(_))) => true,
            (Challenge::Sasl { iterations, .. }, Some(Secret::Plain(password))) => {
                !credentials.has_derived(&self.user, password, *iterations)
            }
            _ => false,
        }
    }

    /// Takes the answer; `None` if it proves who the client is, else what is asked next.
    pub(super) fn answer(
        self,
        body: &[u8],
        credentials: &Credentials,
        out: &mut Vec<u8>,
    ) -> Result<Option<Proof>, Failure> {
        let Proof { user, secret, challenge } = self;
        match challenge {
            Challenge::Cleartext => {
                let password = password(body)?;
                check(cleartext_is_right(password, secret.as_ref(), &user, credentials))
            }
            Challenge::Md5 { salt } => {
                let response = password(body)?;
                check(md5_is_right(response, secret.as_ref(), &user, salt))
            }
            Challenge::Sasl { nonce, iterations } => {
                let server = start_sasl(body, &nonce, iterations, secret.as_ref(), &user, credentials, out)?;
                Ok(Some(Proof { user, secret, challenge: Challenge::SaslFinal(Box::new(server)) }))
            }
            Challenge::SaslFinal(server) => {
                let verified = server.verify(body).map_err(scram)?;
                backend::write_authentication_sasl_final(out, &verified.server_final);
                if let Some(Secret::Scram(text)) = &secret {
                    credentials.learn(&user, text, verified.client_key);
                }
                Ok(None)
            }
        }
    }
}

fn password(body: &[u8]) -> Result<&[u8], Failure> {
    match frontend::password(body) {
        Ok([]) => Err(Failure::Refused(refusal::empty_password())),
        Ok(password) => Ok(password),
        Err(_) => Err(Failure::Protocol(refusal::malformed_answer())),
    }
}

fn check(right: bool) -> Result<Option<Proof>, Failure> {
    if right { Ok(None) } else { Err(Failure::Refused(refusal::password_failed())) }
}

fn scram(error: ScramError) -> Failure {
    match error {
        ScramError::WrongProof => Failure::Refused(refusal::sasl_failed(error)),
        other => Failure::Protocol(refusal::sasl_failed(other)),
    }
}

fn cleartext_is_right(
    password: &[u8],
    secret: Option<&Secret>,
    user: &str,
    credentials: &Credentials,
) -> bool {
    match secret {
        None => false,
        Some(Secret::Plain(known)) => md5::same(known, password),
        Some(Secret::Md5(known)) => md5::same(known, md5::stored(password, user).as_bytes()),
        Some(Secret::Scram(text)) => credentials.check_scram(user, text, password),
    }
}

fn md5_is_right(response: &[u8], secret: Option<&Secret>, user: &str, salt: [u8; 4]) -> bool {
    let (stored, exists) = match secret {
        Some(Secret::Md5(stored)) => (stored.clone(), true),
        Some(Secret::Plain(password)) => (md5::stored(password.as_bytes(), user), true),
        // The same work for nobody.
        Some(Secret::Scram(_)) | None => (md5::stored(b"", user), false),
    };
    md5::same(&md5::response(&stored, salt), response) && exists
}

fn start_sasl(
    body: &[u8],
    nonce: &Nonce,
    iterations: u32,
    secret: Option<&Secret>,
    user: &str,
    credentials: &Credentials,
    out: &mut Vec<u8>,
) -> Result<ScramServer, Failure> {
    let malformed = || Failure::Protocol(refusal::malformed_answer());
    let initial = frontend::SaslInitialResponse::parse(body).map_err(|_| malformed())?;
    if initial.mechanism != MECHANISM.as_bytes() {
        return Err(Failure::Protocol(refusal::sasl_mechanism()));
    }
    let first = initial.data.ok_or_else(malformed)?;
    let (scram_secret, standing) = match secret.and_then(|s| credentials.scram_secret(user, s, iterations)) {
        Some(scram_secret) => (scram_secret, Standing::Real),
        None => (credentials.mock(user, iterations), Standing::Mock),
    };
    let (server, reply) = ScramServer::start(first, nonce, scram_secret, standing).map_err(scram)?;
    backend::write_authentication_sasl_continue(out, &reply);
    Ok(server)
}
