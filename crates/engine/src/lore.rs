//! What Howdah knows of a database: what its functions do, and the texts prepared in it.
//!
//! What the functions do is asked on the first server connection, before anybody uses it; later on one that is idle,
//! when something has changed or a minute has passed in which the database was used.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use howdah_core::facts::CloseReason;
use howdah_core::pool::{Condition, PoolId};
use howdah_core::session::{HintBook, StatementRegistry};
use howdah_wire::sql::{Hints, HintsBuilder};
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::task::{JoinError, spawn_blocking};

use crate::client_task::{settle, settle_in};
use crate::server_conn::ServerConn;
use crate::worker::Worker;

/// What is known of one database.
#[derive(Default)]
pub(crate) struct Lore {
    pub(crate) hints: Arc<HintBook>,
    pub(crate) registry: Arc<StatementRegistry>,
    /// Held by the one who asks.
    asking: Arc<Mutex<()>>,
}

/// A server connection of this pool has been opened. If it is the first of its database, what the functions do is
/// asked before anybody uses it.
///
/// # Errors
/// The connection is not to be used.
pub(crate) async fn greet(
    worker: &Rc<Worker>,
    conn: &mut ServerConn,
    pool: PoolId,
) -> Result<(), CloseReason> {
    let Some((database, lore)) = worker.shared.lore_of(pool) else { return Ok(()) };
    let asking = if lore.hints.is_blank() {
        Arc::clone(&lore.asking).lock_owned().await
    } else {
        let Ok(asking) = Arc::clone(&lore.asking).try_lock_owned() else { return Ok(()) };
        asking
    };
    if lore.hints.is_due(worker.now()) { ask(worker, conn, &database, &lore, asking).await } else { Ok(()) }
}

/// Asks again wherever it is time to and a server connection is idle. A duty of one worker.
pub(crate) fn refresh(worker: &Rc<Worker>) {
    let now = worker.now();
    for (pool, database, lore) in worker.shared.all_lore() {
        let used_since = lore.hints.grown_old(now);
        if lore.hints.is_blank() || used_since.is_none() && !lore.hints.is_due(now) {
            continue;
        }
        let used_since = used_since.filter(|_| !lore.hints.is_due(now));
        let Ok(asking) = Arc::clone(&lore.asking).try_lock_owned() else { continue };
        let Some(granted) = worker.shared.pools.borrow(pool, used_since, now) else { continue };
        let worker = Rc::clone(worker);
        tokio::task::spawn_local(async move {
            let Some(mut lease) = settle_in(&worker, granted).await else { return };
            worker.set_testing(lease.conn.id, true);
            let asked = ask(&worker, &mut lease.conn, &database, &lore, asking).await;
            lease.give_back(asked.map_or_else(Condition::Close, |()| Condition::Fit));
        });
    }
}

/// Asks on a server connection that nobody uses.
async fn ask(
    worker: &Rc<Worker>,
    conn: &mut ServerConn,
    database: &str,
    lore: &Lore,
    _asking: OwnedMutexGuard<()>,
) -> Result<(), CloseReason> {
    let limit = worker.settings().timeouts.server_connect;
    let limit = limit.map_or(PATIENCE, |limit| PATIENCE.min(limit / 2)).max(Duration::from_millis(1));
    let mut question = Vec::new();
    conn.server.survey(u64::try_from(limit.as_millis()).unwrap_or(u64::MAX), &mut question);
    let inquiry = lore.hints.inquire(worker.now());
    let settled = settle(worker, conn, &question).await;
    let refusal = match (conn.server.surveyed(), &settled) {
        (Some(Ok(rows)), Ok(())) => {
            match read(rows).await {
                Ok(hints) => lore.hints.answer(inquiry, hints, worker.now()),
                Err(error) => tracing::error!(database, %error, "what functions do cannot be read"),
            }
            return Ok(());
        }
        (Some(Err(error)), _) => error.to_string(),
        (_, Err(reason)) => reason.to_string(),
        (None, Ok(())) => CloseReason::ServerProtocol.to_string(),
    };
    if lore.hints.refuse(inquiry, worker.now()) && !worker.shared.stopping.load(Ordering::Relaxed) {
        tracing::warn!(database, reason = refusal, "what functions do to a session cannot be asked");
    }
    settled
}

/// A worker's clients do not wait until thousands of functions have been read.
async fn read(rows: HintsBuilder) -> Result<Hints, JoinError> {
    if rows.is_long() { spawn_blocking(|| rows.build()).await } else { Ok(rows.build()) }
}

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);
