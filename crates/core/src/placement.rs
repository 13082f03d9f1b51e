//! Which worker serves which client?
//!
//! A thread that is busy anyway serves one more client for less than a thread that has to be woken for it:
//! every wake-up costs several microseconds, and a longer turn of the loop sends more at once. So few workers
//! are kept busy while there is little to do, and all of them are used when there is much: new clients go to
//! the first worker that has room, and clients at rest leave a worker that has none left.

/// How a worker is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Share of its thread's time spent working, in thousandths, over the last moments.
    pub busy: u32,
    /// Clients it serves.
    pub clients: usize,
}

/// Clients at rest should move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Relief {
    /// The worker that has too much to do.
    pub from: usize,
    /// The one that has room.
    pub to: usize,
    /// How many should move.
    pub clients: usize,
}

/// The worker for a new client: the first with room, else the least busy. `None`: there are no workers.
#[must_use]
pub fn place(loads: impl Iterator<Item = Load> + Clone) -> Option<usize> {
    let with_room = loads.clone().position(|load| load.busy < ROOM);
    with_room.or_else(|| {
        loads.enumerate().min_by_key(|(_, load)| (load.busy, load.clients)).map(|(worker, _)| worker)
    })
}

/// Who should hand clients to whom, if anybody should: from the busiest worker, when it has too much to do,
/// to the least busy one, when that has room; half of what lies between them.
#[must_use]
pub fn relieve(loads: &[Load]) -> Option<Relief> {
    let (from, most) = loads.iter().enumerate().max_by_key(|(_, load)| load.busy)?;
    let (to, least) = loads.iter().enumerate().min_by_key(|(_, load)| load.busy)?;
    if most.busy < TOO_BUSY || least.busy >= ROOM {
        return None;
    }
    let share = u64::from(most.busy - least.busy);
    let clients = most.clients as u64 * share / (2 * u64::from(most.busy));
    let clients = usize::try_from(clients).unwrap_or(usize::MAX);
    (clients > 0).then_some(Relief { from, to, clients })
}

/// Below this a worker has room.
const ROOM: u32 = 600;
/// From this on it has too much to do.
const TOO_BUSY: u32 = 800;

#[cfg(test)]
mod tests {
    use super::*;

    fn loads(workers: &[(u32, usize)]) -> Vec<Load> {
        workers.iter().map(|&(busy, clients)| Load { busy, clients }).collect()
    }

    #[test]
    fn the_first_worker_with_room_gets_the_client() {
        let place = |workers: &[(u32, usize)]| place(loads(workers).into_iter());
        assert_eq!(place(&[(0, 0), (0, 0)]), Some(0));
        assert_eq!(place(&[(599, 900), (0, 0)]), Some(0));
        assert_eq!(place(&[(600, 900), (100, 5), (0, 0)]), Some(1));
        assert_eq!(place(&[(900, 9), (700, 9), (800, 1)]), Some(1));
        assert_eq!(place(&[]), None);
    }

    #[test]
    fn a_worker_with_too_much_to_do_hands_half_the_difference_on() {
        let relieve = |workers: &[(u32, usize)]| relieve(&loads(workers));
        assert_eq!(relieve(&[(1000, 100), (0, 0)]), Some(Relief { from: 0, to: 1, clients: 50 }));
        assert_eq!(relieve(&[(300, 5), (800, 80), (400, 7)]), Some(Relief { from: 1, to: 0, clients: 25 }));
        assert_eq!(relieve(&[(799, 100), (0, 0)]), None, "it is not too busy");
        assert_eq!(relieve(&[(1000, 100), (600, 10)]), None, "nobody has room");
        assert_eq!(relieve(&[(1000, 1), (0, 0)]), None, "one client cannot be halved");
        assert_eq!(relieve(&[(1000, 100)]), None, "there is nobody else");
    }
}
