//! Every reason for which somebody gets no server connection.

use std::sync::Arc;
use std::time::Duration;

use super::{PoolKey, ServerCounts};
use crate::server::OpenError;

/// Why a server connection could not be opened, in the server's own words where it had any.
pub type OpenFailure = Arc<OpenError>;

/// Why there is no server connection for this client.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Refusal {
    /// `query_wait_timeout`.
    #[error("no server connection of pool {pool} within {:.1} s: {waiting} in line, server connections: {servers}{}", waited.as_secs_f64(), if *paused { "; it is paused" } else { "" })]
    WaitTimeout {
        /// Whose line it stood in.
        pool: PoolKey,
        /// For how long.
        waited: Duration,
        /// Who holds the connections.
        servers: ServerCounts,
        /// How many stood in line, itself included.
        waiting: usize,
        /// PAUSE holds the pool back.
        paused: bool,
    },
    /// None is open and the last try to open one failed.
    #[error("{0}")]
    Unavailable(OpenFailure),
    /// A listener connection would be the only one that a limit allows, and its clients could do nothing else.
    #[error("{limit} = 1 leaves no server connection to listen on")]
    LimitOfOne {
        /// `max_db_connections` or `max_user_connections`.
        limit: &'static str,
    },
    /// KILL.
    #[error("closed by administrator")]
    Killed,
    /// Howdah shuts down.
    #[error("shutting down")]
    ShuttingDown,
}
