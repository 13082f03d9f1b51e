//! What the pool wants done. The engine carries effects out in their order; none of them may be dropped.

use std::time::Duration;

use super::{PoolId, Refusal, ServerId, Ticket};
use crate::facts::CloseReason;

/// An order to the engine.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Connect and log in, then report `opened` or `open_failed`.
    Open {
        /// Its id from now on.
        server: ServerId,
        /// Whose it is.
        pool: PoolId,
    },
    /// Close a parked one, or one just opened or given back. Its slot is already free.
    Close {
        /// Which one.
        server: ServerId,
        /// Why.
        reason: CloseReason,
    },
    /// Keep the one just opened or given back, and report `lost` when it dies.
    Park {
        /// Which one.
        server: ServerId,
    },
    /// Hand a parked one, or one just opened or given back, to a waiter.
    Grant {
        /// Who gets it.
        ticket: Ticket,
        /// Which one.
        server: ServerId,
        /// Run the check query first.
        check: bool,
    },
    /// Tell a waiter that it gets none.
    Refuse {
        /// Who is refused.
        ticket: Ticket,
        /// Why.
        refusal: Refusal,
    },
    /// Tell a waiter that it is still in line (`query_wait_notify`). Once each.
    Notify {
        /// Who.
        ticket: Ticket,
        /// For how long by now.
        waited: Duration,
    },
}

/// The answer to a checkout.
#[derive(Clone, Debug)]
pub enum Checkout {
    /// A parked connection, now in the caller's hands.
    Granted {
        /// Which one.
        server: ServerId,
        /// Run the check query first.
        check: bool,
    },
    /// In line: exactly one `Grant` or `Refuse` follows, unless it is abandoned before.
    Queued(Ticket),
    /// None, and no use waiting.
    Refused(Refusal),
}

/// In what condition a connection is given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Ready for anybody.
    Fit,
    /// Not to be used again.
    Close(CloseReason),
}
