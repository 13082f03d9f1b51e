//! Why a server connection cannot be given back though its transaction has ended.

use thiserror::Error;

/// What ties a client to its server connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
pub enum PinReason {
    /// An unnamed statement was parsed and not yet bound; it lives on this server connection only.
    #[error("unnamed prepared statement")]
    UnnamedStatement,
    /// A named statement too large to be kept by Howdah lives on this server connection under the
    /// client's own name. The server connection is closed when the client leaves.
    #[error("prepared statement too large to follow the client")]
    LargeStatement,
}
