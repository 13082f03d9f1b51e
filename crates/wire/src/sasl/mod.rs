//! SCRAM-SHA-256 (RFC 5802, RFC 7677), both sides, as PostgreSQL speaks it.
//!
//! Each side is a value that is consumed by the message it waits for, so a message out of turn has no
//! method to go to:
//!
//! ```text
//! client  ScramClient::start ──▶ ClientAwaitsFirst ──answer──▶ ClientAwaitsFinal ──verify──▶ derived keys
//! server  ScramServer::start ──▶ ScramServer ──verify──▶ Verified { client_key, server_final }
//! ```
//!
//! `message` reads the four messages and bounds every attribute, `keys` holds the key derivation,
//! `derived` what is worth remembering of it, `password` the normalisation. Channel binding is not here: as a client we say `n`, as a server we accept
//! `n` and `y` and refuse `p=`. Randomness comes from the caller.

mod client;
mod derived;
mod error;
mod keys;
mod message;
mod password;
mod scram_secret;
mod server;

pub use client::{ClientAwaitsFinal, ClientAwaitsFirst, ClientCredential, ScramClient};
pub use derived::DerivedKeys;
pub use error::{Attribute, ScramError};
pub use keys::{ClientKey, ServerKey, StoredKey};
pub use message::{MAX_MESSAGE, MAX_NONCE, MAX_SALT, Nonce};
pub use password::normalise;
pub use scram_secret::{MAX_ITERATIONS, ScramSecret, mock_salt};
pub use server::{ScramServer, Standing, Verified};

/// The mechanism's name in AuthenticationSASL and SASLInitialResponse.
pub const MECHANISM: &str = "SCRAM-SHA-256";
