//! A pool with fewer connections than clients, shared by several workers: nobody is passed over for long, whatever
//! the load, and connections stay with their worker where that harms nobody.
//!
//! Once on virtual time, with loads of several kinds, and once with threads.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::mpsc::{self, Receiver};

use super::super::jitter::Jitter;
use super::*;

#[test]
fn nobody_is_passed_over_for_two_milliseconds() {
    let loads = [
        ("short queries", Load { clients: &[50, 50], size: 20, query: 20..60, pause: 0..20 }),
        ("a rush of long ones", Load { clients: &[40; 4], size: 4, query: 5_000..50_000, pause: 0..1000 }),
        ("of all lengths", Load { clients: &[25; 4], size: 10, query: 10..20_000, pause: 0..5000 }),
        ("most with one worker", Load { clients: &[90, 5, 5], size: 10, query: 100..3000, pause: 0..100 }),
        ("one connection", Load { clients: &[10, 10], size: 1, query: 100..10_000, pause: 0..10 }),
    ];
    for (name, load) in loads {
        for seed in 0..10 {
            let ledger = load.run(seed);
            ledger.check(name);
            if name == "short queries" {
                assert!(ledger.moved * 20 < ledger.grants && ledger.passing > 0, "{name}: {ledger}");
            }
        }
    }
}

#[test]
fn nor_by_threads_that_share_a_pool() {
    const THREADS: usize = 4;
    const CLIENTS: usize = 25;
    const ROUNDS: usize = 200;
    let size = 8;
    let mut desk = Desk::new(size);
    let connections = desk.connections.clone();
    let (mailboxes, inboxes): (Vec<_>, Vec<_>) = (0..THREADS).map(|_| mpsc::channel()).unzip();
    for client in 0..THREADS * CLIENTS {
        assert!(desk.ask(client, client % THREADS, Instant::now()).is_none());
    }
    let desk = Mutex::new(desk);
    let deliver = |grant: Option<Grant>| {
        if let Some(grant) = grant {
            mailboxes[grant.client % THREADS].send(grant).unwrap();
        }
    };
    let serve = |worker: usize, inbox: Receiver<Grant>| {
        let mut rounds = [0; THREADS * CLIENTS];
        for _ in 0..CLIENTS * ROUNDS {
            let Grant { client, server } = inbox.recv().unwrap();
            let mut desk = desk.lock().unwrap();
            deliver(desk.give_back(server, worker, Instant::now()));
            rounds[client] += 1;
            if rounds[client] < ROUNDS {
                deliver(desk.ask(client, worker, Instant::now()));
            }
        }
    };
    std::thread::scope(|scope| {
        for (worker, inbox) in inboxes.into_iter().enumerate() {
            let serve = &serve;
            scope.spawn(move || serve(worker, inbox));
        }
        for server in connections {
            deliver(desk.lock().unwrap().give_back(server, 0, Instant::now()));
        }
    });
    let ledger = desk.into_inner().unwrap().ledger;
    print(&ledger);
    assert!(ledger.waiting.is_empty());
    ledger.check("threads");
}

/// A pool that is used up, and who waits for it.
struct Desk {
    pools: Pools,
    pool: PoolId,
    connections: Vec<ServerId>,
    clients: BTreeMap<Ticket, usize>,
    ledger: Ledger,
    fx: Vec<Effect>,
}

/// Whose turn it is, and with what.
struct Grant {
    client: usize,
    server: ServerId,
}

impl Desk {
    /// All of this many connections are in somebody's hands.
    fn new(size: u32) -> Desk {
        let (mut world, pool) = World::with(plain(size));
        let open = world.warm(pool, size as usize);
        let connections = open.iter().map(|number| world.servers[number]).collect();
        let ledger = Ledger { size, ..Ledger::default() };
        Desk { pools: world.pools, pool, connections, clients: BTreeMap::new(), ledger, fx: Vec::new() }
    }

    /// `None`: the client waits.
    fn ask(&mut self, client: usize, worker: usize, now: Instant) -> Option<Grant> {
        let worker = WorkerId(u16::try_from(worker).unwrap());
        match self.pools.checkout(self.pool, worker, Guise::PLAIN, now, &mut self.fx) {
            Checkout::Granted { server, .. } => Some(Grant { client, server }),
            Checkout::Queued(ticket) => {
                let waiting = Waiting { worker, since: now, passed: 0, passed_since: None };
                self.ledger.waiting.insert(ticket, waiting);
                self.clients.insert(ticket, client);
                None
            }
            Checkout::Refused(refusal) => panic!("{refusal}"),
        }
    }

    /// `None`: nobody waits.
    fn give_back(&mut self, server: ServerId, worker: usize, now: Instant) -> Option<Grant> {
        let worker = WorkerId(u16::try_from(worker).unwrap());
        self.pools.give_back(server, worker, Condition::Fit, now, &mut self.fx);
        match self.fx.pop().unwrap() {
            Effect::Grant { ticket, server, .. } => {
                self.ledger.granted(ticket, worker, now);
                Some(Grant { client: self.clients.remove(&ticket).unwrap(), server })
            }
            Effect::Park { .. } if self.clients.is_empty() => None,
            other => panic!("{} wait, and what happens is {other:?}", self.clients.len()),
        }
    }
}

/// Who waits, and by whom they were passed over.
#[derive(Default)]
struct Ledger {
    size: u32,
    waiting: BTreeMap<Ticket, Waiting>,
    grants: usize,
    /// To somebody who was not the first in line.
    passing: usize,
    /// To another worker's client.
    moved: usize,
    most_passed: u32,
    longest_passed: Duration,
    /// How much later somebody came who was served before.
    latest: Duration,
}

struct Waiting {
    worker: WorkerId,
    since: Instant,
    /// By how many who came later.
    passed: u32,
    /// From when on.
    passed_since: Option<Instant>,
}

impl Ledger {
    fn granted(&mut self, ticket: Ticket, by: WorkerId, now: Instant) {
        let served = self.waiting.remove(&ticket).unwrap();
        self.grants += 1;
        self.moved += usize::from(served.worker != by);
        self.passing += usize::from(self.waiting.first_key_value().is_some_and(|(first, _)| *first < ticket));
        for (_, earlier) in self.waiting.range_mut(..ticket) {
            earlier.passed += 1;
            let passed_for = now - *earlier.passed_since.get_or_insert(now);
            self.most_passed = self.most_passed.max(earlier.passed);
            self.longest_passed = self.longest_passed.max(passed_for);
            self.latest = self.latest.max(served.since - earlier.since);
        }
    }

    /// Judged at the end, so that no thread waits for another that has given up.
    fn check(&self, name: &str) {
        assert!(self.longest_passed < MOST, "{name}: {self}");
        assert!(self.latest < MOST, "{name}: {self}");
        assert!(self.most_passed <= 2 * self.size, "{name}: {self}");
    }
}

impl fmt::Display for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Ledger { grants, passing, moved, most_passed, longest_passed, latest, .. } = self;
        write!(
            f,
            "{grants} grants, {passing} of them out of turn, {moved} to another worker; nobody passed over by "
        )?;
        write!(
            f,
            "more than {most_passed}, for more than {longest_passed:?}, or by who came {latest:?} later"
        )
    }
}

/// Clients that ask, and ask again.
struct Load {
    /// Of each worker.
    clients: &'static [usize],
    size: u32,
    /// How long a connection is used, in microseconds.
    query: Range<u32>,
    /// How long a client waits before it asks again.
    pause: Range<u32>,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Ask { client: usize },
    Done { client: usize, server: ServerId },
}

impl Load {
    fn run(&self, seed: u64) -> Ledger {
        let mut desk = Desk::new(self.size);
        let mut chance = Jitter::new(seed);
        let mut micros = |range: &Range<u32>| {
            Duration::from_micros(chance.between(f64::from(range.start), f64::from(range.end)) as u64)
        };
        let workers: Vec<usize> =
            self.clients.iter().enumerate().flat_map(|(worker, count)| vec![worker; *count]).collect();
        let start = Instant::now();
        let mut events = BinaryHeap::new();
        let held = desk.connections.clone().into_iter().enumerate();
        events.extend(held.map(|(client, server)| Reverse((start + MOST, Event::Done { client, server }))));
        let others = self.size as usize..workers.len();
        events.extend(others.map(|client| Reverse((start, Event::Ask { client }))));
        for _ in 0..EVENTS {
            let Reverse((now, event)) = events.pop().unwrap();
            let grant = match event {
                Event::Ask { client } => desk.ask(client, workers[client], now),
                Event::Done { client, server } => {
                    events.push(Reverse((now + micros(&self.pause), Event::Ask { client })));
                    desk.give_back(server, workers[client], now)
                }
            };
            if let Some(Grant { client, server }) = grant {
                events.push(Reverse((now + micros(&self.query), Event::Done { client, server })));
            }
        }
        desk.ledger
    }
}

#[expect(clippy::print_stdout, reason = "shown with --nocapture: how fair it is on this machine")]
fn print(ledger: &Ledger) {
    println!("{ledger}");
}

/// What anybody has to bear.
const MOST: Duration = Duration::from_millis(2);
const EVENTS: usize = 10_000;
