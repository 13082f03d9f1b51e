//! What SHOW STATS adds up: one set per pool and worker, summed when somebody looks.

use std::ops::{AddAssign, Sub};

/// Sums since start. Times are microseconds, traffic is bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Times a client was given a server connection.
    pub server_assignments: u64,
    /// Transactions ended.
    pub transactions: u64,
    /// Queries ended.
    pub queries: u64,
    /// Bytes received from clients.
    pub received: u64,
    /// Bytes sent to clients.
    pub sent: u64,
    /// Time inside transactions.
    pub transaction_time: u64,
    /// Time spent by servers on queries.
    pub query_time: u64,
    /// Time clients waited for a server connection.
    pub wait_time: u64,
    /// Named statements parsed by clients.
    pub client_parses: u64,
    /// Named statements parsed on servers.
    pub server_parses: u64,
    /// Binds of named statements.
    pub binds: u64,
    /// Clients that logged in.
    pub logins: u64,
    /// Notifications handed to clients that listen through the listener connection.
    pub notifications: u64,
    /// Pins that began.
    pub pins: u64,
    /// Time that clients were pinned.
    pub pin_time: u64,
    /// Times a client was refused a pin.
    pub pins_refused: u64,
    /// Times a client's session state was brought to a server connection.
    pub state_replays: u64,
}

macro_rules! each_field {
    ($apply:ident) => {
        $apply!(
            server_assignments,
            transactions,
            queries,
            received,
            sent,
            transaction_time,
            query_time,
            wait_time,
            client_parses,
            server_parses,
            binds,
            notifications,
            logins,
            pins,
            pin_time,
            pins_refused,
            state_replays
        )
    };
}

impl AddAssign for Counters {
    fn add_assign(&mut self, other: Counters) {
        macro_rules! add { ($($field:ident),*) => { $(self.$field += other.$field;)* } }
        each_field!(add);
    }
}

impl Sub for Counters {
    type Output = Counters;

    fn sub(self, other: Counters) -> Counters {
        macro_rules! subtract {
            ($($field:ident),*) => { Counters { $($field: self.$field.saturating_sub(other.$field)),* } }
        }
        each_field!(subtract)
    }
}
