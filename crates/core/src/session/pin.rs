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
    /// A temporary table, view, sequence, function or type.
    #[error("temporary object")]
    TempObject,
    /// A session level advisory lock.
    #[error("advisory lock")]
    AdvisoryLock,
    /// A cursor WITH HOLD.
    #[error("cursor with hold")]
    HoldCursor,
    /// A temporary replication slot.
    #[error("temporary replication slot")]
    ReplicationSlot,
    /// It listens.
    #[error("listening")]
    Channel,
    /// Something that ends with the session only: a library, a seed.
    #[error("library or random seed")]
    Spoiled,
    /// PostgreSQL could not be asked what the session looks like.
    #[error("unknown session state")]
    Unknown,
}
