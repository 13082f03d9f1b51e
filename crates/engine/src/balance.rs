//! Clients at rest move from a worker that has too much to do to one that has room.
//!
//! How busy a worker is, is read from its thread's processor time, so that serving a query costs nothing for
//! it. Who should move is decided by `howdah_core::placement`.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use howdah_core::placement::{Load, relieve};
use howdah_core::pool::WorkerId;
use rustix::time::{ClockId, clock_gettime};

use crate::shared::{Shared, WorkerDoor};
use crate::worker::{Message, Worker};

impl WorkerDoor {
    /// How this worker is doing.
    pub(crate) fn load(&self) -> Load {
        Load { busy: self.busy.load(Ordering::Relaxed), clients: self.clients.load(Ordering::Relaxed) }
    }
}

/// Notes again and again how busy the calling worker's thread is.
pub(crate) async fn measure(worker: Rc<Worker>) {
    let (mut used_before, mut then) = (processor_time(), Instant::now());
    let mut busy = 0;
    loop {
        tokio::time::sleep(ROUND).await;
        let (used, now) = (processor_time(), Instant::now());
        let elapsed = (now - then).as_micros().max(1);
        let share = (used.saturating_sub(used_before).as_micros() * 1000 / elapsed).min(1000);
        // The last three rounds or so, so that a burst alone moves nobody.
        busy = (2 * busy + u32::try_from(share).unwrap_or(1000)) / 3;
        if let Some(door) = worker.shared.door(worker.id) {
            door.busy.store(busy, Ordering::Relaxed);
        }
        (used_before, then) = (used, now);
    }
}

/// The control plane's duty: sees whether somebody should be relieved.
pub(crate) async fn relieve_workers(shared: Arc<Shared>) {
    loop {
        tokio::time::sleep(BETWEEN_MOVES).await;
        let Some(doors) = shared.workers.get() else { continue };
        let loads: Vec<Load> = doors.iter().map(WorkerDoor::load).collect();
        let Some(relief) = relieve(&loads) else { continue };
        let Ok(to) = u16::try_from(relief.to).map(WorkerId) else { continue };
        if let Some(door) = doors.get(relief.from) {
            tracing::debug!(?relief, "clients at rest move to another worker");
            // A worker that has stopped has no clients to move.
            let _ = door.mailbox.send(Message::Relieve { to, clients: relief.clients });
        }
    }
}

fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let seconds = Duration::from_secs(u64::try_from(time.tv_sec).unwrap_or(0));
    seconds + Duration::from_nanos(u64::try_from(time.tv_nsec).unwrap_or(0))
}

/// How often a worker looks at itself.
const ROUND: Duration = Duration::from_millis(100);
/// Time for a move to show in the loads before the next one is thought of.
const BETWEEN_MOVES: Duration = Duration::from_secs(1);
