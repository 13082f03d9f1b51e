//! Who stands at the door, and who came in.

use std::fmt;
use std::sync::Arc;

use crate::control::AdminRole;
use crate::facts::Address;

/// What the socket says of a client.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Its end of the connection.
    pub address: Address,
    /// It came over a Unix socket.
    pub unix: bool,
    /// Its process, where the Unix socket tells.
    pub pid: Option<u32>,
    /// It runs as the same Unix user as Howdah, by the socket's word.
    pub same_user: bool,
}

/// A client that may come in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The entry of `[databases]` asked for; where `*` answers, the name itself.
    pub database: Arc<str>,
    /// The client's user. A database's forced user is not looked at here.
    pub user: Arc<str>,
    /// Minor number of the protocol agreed on, 0 to 2.
    pub minor: u16,
    /// The settings it asks for, in PostgreSQL's order, spelled as the client spells them; none twice.
    pub parameters: Vec<(String, String)>,
    /// It came to the console.
    pub admin: Option<AdminRole>,
}

/// Fresh random bytes for one login.
#[derive(Clone)]
pub struct LoginSeeds {
    /// Salt of an MD5 challenge.
    pub md5_salt: [u8; 4],
    /// Our half of a SCRAM exchange's nonce.
    pub scram_nonce: [u8; 18],
}

impl fmt::Debug for LoginSeeds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LoginSeeds(…)")
    }
}
