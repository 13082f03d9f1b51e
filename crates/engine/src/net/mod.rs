//! Where bytes come from and go to.
//!
//! [`Socket`] is a connection of any kind; [`Net`] opens new ones. The same client task runs over TCP, over
//! Unix sockets and over the simulator's in-memory pipes.

mod conduit;
mod options;
#[cfg(test)]
mod pipe;
mod real;
mod socket;
mod stream;
mod unpaced;
mod watch;

use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;

pub(crate) use conduit::Conduit;
pub(crate) use options::defer_accept;
#[cfg(test)]
pub(crate) use pipe::{Pipe, PipeFaults, Scissors, pipe};
pub use real::RealNet;
pub(crate) use real::{acknowledge_with_the_answer, apply_heritable_tcp, apply_other_tcp, unix_socket_path};
pub use socket::{Ends, Socket};
pub(crate) use socket::{known, local_of};
pub use stream::Stream;
pub(crate) use unpaced::take_off_pacing;
pub(crate) use watch::watch;

/// Where a PostgreSQL listens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// Host name or address, and port.
    Tcp(String, u16),
    /// Path of the Unix socket itself.
    Unix(PathBuf),
}

impl Endpoint {
    /// `host` as it stands in `[databases]`: a directory (or `@name`) is a Unix socket's, anything else is TCP.
    #[must_use]
    pub fn new(host: &str, port: u16) -> Endpoint {
        if host.starts_with('/') || host.starts_with('@') {
            Endpoint::Unix(unix_socket_path(host, port))
        } else {
            Endpoint::Tcp(host.to_owned(), port)
        }
    }
}

/// Opens connections to PostgreSQL.
pub trait Net: Send + Sync {
    /// Connects; dropping the future gives up.
    fn connect<'a>(&'a self, endpoint: &'a Endpoint) -> Connecting<'a>;
}

/// A connection being made.
pub type Connecting<'a> = Pin<Box<dyn Future<Output = io::Result<Socket>> + 'a>>;
