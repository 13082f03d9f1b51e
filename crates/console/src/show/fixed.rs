//! The small tables: CONFIG, STATE, VERSION, those of features Howdah lacks, and the text of HELP.

use howdah_core::control::ConfigRow;
use howdah_core::facts::Snapshot;

use super::table::{Column, Row, int4, text};

pub(super) static CONFIG: [Column; 4] = [text("key"), text("value"), text("default"), text("changeable")];

pub(super) static STATE: [Column; 2] = [text("key"), text("value")];

pub(super) static VERSION: [Column; 1] = [text("version")];

/// Empty: there is no peering.
pub(super) static PEERS: [Column; 4] = [int4("peer_id"), text("host"), int4("port"), int4("pool_size")];

/// Empty: there is no peering.
pub(super) static PEER_POOLS: [Column; 5] = [
    int4("peer_id"),
    int4("cl_active_cancel_req"),
    int4("cl_waiting_cancel_req"),
    int4("sv_active_cancel"),
    int4("sv_login"),
];

pub(super) fn config_row(row: &ConfigRow) -> Row<'_> {
    vec![
        row.key.into(),
        row.value.as_str().into(),
        row.default.as_str().into(),
        yes_no(row.changeable).into(),
    ]
}

pub(super) fn state(snapshot: &Snapshot) -> Vec<Row<'_>> {
    let active = !snapshot.paused && !snapshot.suspended;
    [("active", active), ("paused", snapshot.paused), ("suspended", snapshot.suspended)]
        .into_iter()
        .map(|(key, value)| vec![key.into(), yes_no(value).into()])
        // Howdah's own; PgBouncer's rows come first.
        .chain([vec!["io_engine".into(), snapshot.io_engine.into()]])
        .collect()
}

/// The row of SHOW VERSION.
pub(crate) fn version() -> Row<'static> {
    vec![concat!("Howdah ", env!("CARGO_PKG_VERSION"), " (PgBouncer 1.25 compatible)").into()]
}

fn yes_no(yes: bool) -> &'static str {
    if yes { "yes" } else { "no" }
}

/// Detail of the notice that answers SHOW HELP. Only what works is listed.
pub(crate) const USAGE: &str = "
\tSHOW HELP|CONFIG|DATABASES|POOLS|CLIENTS|SERVERS|USERS|VERSION
\tSHOW PEERS|PEER_POOLS
\tSHOW LISTS|STATE|PINS
\tSHOW STATS|STATS_TOTALS|STATS_AVERAGES|TOTALS
\tSET key = arg
\tRELOAD
\tPAUSE [<db>]
\tRESUME [<db>]
\tDISABLE <db>
\tENABLE <db>
\tRECONNECT [<db>]
\tKILL [<db>]
\tKILL_CLIENT <client_id>
\tSHUTDOWN
\tSHUTDOWN WAIT_FOR_SERVERS|WAIT_FOR_CLIENTS
\tWAIT_CLOSE [<db>]";
