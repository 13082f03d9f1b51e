//! Background duties: each has a name and a rhythm, and survives a panic of its own.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use howdah_core::pool::WorkerId;

use crate::control::{turn_period, with_pools};
use crate::lore;
use crate::outbox::Outbox;
use crate::shared::Shared;
use crate::worker::Worker;

/// The control plane's: the pools' janitor and the statistics.
pub(crate) fn begin_common(shared: &Arc<Shared>) {
    let of_pools = Arc::clone(shared);
    tokio::task::spawn_local(supervise(Arc::clone(shared), "pool janitor", POOL_ROUND, move || {
        with_pools(&of_pools, howdah_core::pool::Pools::tick);
    }));
    let of_stats = Arc::clone(shared);
    tokio::task::spawn_local(async move {
        loop {
            let period = of_stats.settings.load().log.stats_period.max(Duration::from_secs(1));
            tokio::time::sleep(period).await;
            turn_period(&of_stats).await;
        }
    });
}

/// A worker's: its clients' time limits, and its parked server connections; the first's: what functions do.
pub(crate) fn begin_for(worker: &Rc<Worker>) {
    let of_clients = Rc::clone(worker);
    let shared = Arc::clone(&worker.shared);
    tokio::task::spawn_local(supervise(shared, "client janitor", CLIENT_ROUND, move || {
        of_clients.close_overdue();
    }));
    if worker.id == WorkerId(0) {
        let (asker, shared) = (Rc::clone(worker), Arc::clone(&worker.shared));
        let duty = supervise(shared, "database lore", LORE_ROUND, move || lore::refresh(&asker));
        tokio::task::spawn_local(duty);
    }
    tokio::task::spawn_local(keep_servers(Rc::clone(worker)));
    tokio::task::spawn_local(Outbox::flush_turns(Rc::clone(worker)));
}

/// Hears what parked server connections say, at once.
fn keep_servers(worker: Rc<Worker>) -> impl Future<Output = ()> {
    std::future::poll_fn(move |cx| {
        let errands = {
            let buffer = &mut worker.scratch.borrow_mut().buffer;
            worker.shared.pools.set_keeper(worker.id, cx.waker());
            worker.shared.pools.keep(worker.id, cx, buffer, worker.now())
        };
        worker.run(errands);
        std::task::Poll::Pending
    })
}

/// Runs `duty` again and again. After a panic it waits longer, up to a minute, before it goes on.
async fn supervise(shared: Arc<Shared>, name: &'static str, every: Duration, mut duty: impl FnMut()) {
    let mut pause = every;
    loop {
        tokio::time::sleep(pause).await;
        match std::panic::catch_unwind(AssertUnwindSafe(&mut duty)) {
            Ok(()) => pause = every,
            Err(_) => {
                shared.panics.fetch_add(1, Ordering::Relaxed);
                pause = (pause * 2).clamp(Duration::from_secs(1), Duration::from_secs(60));
                tracing::error!(duty = name, ?pause, "panic in a background duty; it goes on after a pause");
            }
        }
    }
}

/// Reserve, waiting limits and lifetimes are kept to this exactness.
const POOL_ROUND: Duration = Duration::from_millis(100);
/// Within this time of its turn, what functions do is asked.
const LORE_ROUND: Duration = Duration::from_millis(250);
/// Clients' time limits are kept to this exactness.
const CLIENT_ROUND: Duration = Duration::from_millis(100);
