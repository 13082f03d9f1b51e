//! SHOW POOLS.

use howdah_core::facts::{PoolRow, Snapshot};

use super::table::{Column, Row, Value, int4, text};

pub(super) static COLUMNS: [Column; 18] = [
    text("database"),
    text("user"),
    int4("cl_active"),
    int4("cl_waiting"),
    int4("cl_active_cancel_req"),
    int4("cl_waiting_cancel_req"),
    int4("sv_active"),
    int4("sv_active_cancel"),
    int4("sv_being_canceled"),
    int4("sv_idle"),
    int4("sv_used"),
    int4("sv_tested"),
    int4("sv_login"),
    int4("maxwait"),
    int4("maxwait_us"),
    text("pool_mode"),
    text("load_balance_hosts"),
    // Howdah's own.
    int4("sv_pinned"),
];

pub(super) fn rows(snapshot: &Snapshot) -> Vec<Row<'_>> {
    snapshot.pools.iter().map(row).collect()
}

fn row(pool: &PoolRow) -> Row<'_> {
    vec![
        (&*pool.database).into(),
        (&*pool.user).into(),
        pool.cl_active.into(),
        pool.cl_waiting.into(),
        pool.cl_active_cancel_req.into(),
        pool.cl_waiting_cancel_req.into(),
        pool.sv_active.into(),
        pool.sv_active_cancel.into(),
        pool.sv_being_canceled.into(),
        pool.sv_idle.into(),
        pool.sv_used.into(),
        pool.sv_tested.into(),
        pool.sv_login.into(),
        Value::whole_seconds(pool.maxwait),
        Value::microseconds(pool.maxwait),
        pool.pool_mode.as_str().into(),
        Value::maybe(pool.load_balance_hosts),
        pool.sv_pinned.into(),
    ]
}
