//! A worker: one thread, one runtime, the clients it serves.

use std::cell::{Cell, RefCell};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use arc_swap::{ArcSwap, Cache};
use howdah_core::client::Place;
use howdah_core::facts::{ClientState, CloseReason, Closes, Counters};
use howdah_core::placement;
use howdah_core::pool::{ServerId, WorkerId};
use howdah_core::session::Patch;
use howdah_core::settings::Settings;
use howdah_wire::cancel_key::CancelKey;
use rustc_hash::FxHashMap;
use tokio::sync::oneshot;

use crate::acceptor::{DoorWatch, Doors};
use crate::client_card::{ClientCard, Guest, Order};
use crate::client_task::{self, Comer};
use crate::consoles::Consoles;
use crate::logins::Logins;
use crate::net::{Conduit, Ends, Socket};
use crate::opener;
use crate::outbox::Outbox;
use crate::shared::{Shared, WorkerDoor};
use crate::shared_pool::Errands;
use crate::snapshot::WorkerReport;
use crate::uring::Ring;

/// What a worker's tasks share. Lives on its thread.
pub(crate) struct Worker {
    pub(crate) id: WorkerId,
    pub(crate) shared: Arc<Shared>,
    /// Those in force, as this worker has last seen them.
    settings: RefCell<Cache<Arc<ArcSwap<Settings>>, Arc<Settings>>>,
    pub(crate) scratch: RefCell<Scratch>,
    pub(crate) outbox: Outbox,
    /// For large values; `None`: there could be none.
    pub(crate) conduit: RefCell<Option<Conduit>>,
    /// When the bytes that are being dealt with were read.
    time: Cell<Instant>,
    /// Random bytes fetched ahead; each is given out once.
    random: RefCell<Vec<u8>>,
    pub(crate) clients: RefCell<FxHashMap<u64, Rc<ClientCard>>>,
    pub(crate) consoles: Consoles,
    /// By database; kept when its last client has gone.
    counters: RefCell<FxHashMap<Arc<str>, Rc<RefCell<Counters>>>>,
    /// Connections that have ended here.
    pub(crate) closes: RefCell<Closes>,
    /// The open doors, if it is this worker who watches them.
    doors: RefCell<Option<DoorWatch>>,
    /// Clients still logging in.
    pub(crate) logins: Logins,
    /// Whose turn it is to hash a password.
    hashing: tokio::sync::Mutex<()>,
}

/// Memory that is lent to whoever is being polled.
pub(crate) struct Scratch {
    pub(crate) buffer: Box<[u8]>,
    pub(crate) patch: Patch,
    /// Where a span and what is put before it are joined for one send.
    pub(crate) joined: Vec<u8>,
}

/// What a worker can be told from elsewhere.
pub(crate) enum Message {
    /// Serve a new client.
    Client { socket: Arrival, ends: Box<Ends>, place: Place },
    /// Let clients in.
    OpenDoors(Doors),
    /// Let nobody in any more.
    CloseDoors,
    /// Go on serving a client of another worker's.
    Adopt { socket: Arrival, place: Place, guest: Box<Guest> },
    /// Let so many clients at rest go to another worker.
    Relieve { to: WorkerId, clients: usize },
    /// A client holding this key asks for its query to be cancelled. Answered when that has been done.
    Cancel { client: u64, done: oneshot::Sender<()> },
    /// End clients.
    Close { which: Which, reason: CloseReason, closed: oneshot::Sender<usize> },
    /// Tell what there is.
    Report(oneshot::Sender<WorkerReport>),
    /// The settings have changed.
    SettingsChanged,
    /// Open and close these.
    Errands(Errands),
    /// Stop serving.
    Stop,
}

/// A socket on its way to a worker.
pub(crate) enum Arrival {
    Tcp(OwnedFd),
    Unix(OwnedFd),
    #[cfg(test)]
    Pipe(crate::net::Pipe),
}

/// A choice of clients.
#[derive(Clone)]
pub(crate) enum Which {
    /// All that are served, the console's excepted.
    All,
    /// The console's as well.
    Everybody,
    /// Here or on the console.
    One(u64),
    Database(String),
}

impl Worker {
    pub(crate) fn new(id: WorkerId, shared: Arc<Shared>, ring: Option<Ring>) -> Rc<Worker> {
        Rc::new(Worker {
            outbox: Outbox::new(ring, shared.settings.load().listen.io_engine),
            conduit: RefCell::new(Conduit::new().ok()),
            time: Cell::new(tokio::time::Instant::now().into_std()),
            id,
            settings: RefCell::new(Cache::new(Arc::clone(&shared.settings))),
            shared,
            random: RefCell::default(),
            scratch: RefCell::new(Scratch {
                buffer: vec![0; SCRATCH].into_boxed_slice(),
                patch: Patch::default(),
                joined: Vec::new(),
            }),
            clients: RefCell::default(),
            doors: RefCell::default(),
            consoles: Consoles::default(),
            counters: RefCell::default(),
            closes: RefCell::default(),
            logins: Logins::default(),
            hashing: tokio::sync::Mutex::default(),
        })
    }

    /// Returns when a password may be hashed on this thread, which takes as long as dozens of queries: one at a
    /// time, in order of arrival, and between two of them all sockets are asked and served. Or when nobody `has_to`
    /// any more.
    pub(crate) async fn turn_to_hash(&self, has_to: impl FnOnce() -> bool) {
        let _turn = self.hashing.lock().await;
        if has_to() {
            // The runtime looks at its sockets before it goes on with who has yielded.
            tokio::task::yield_now().await;
        }
    }

    /// The settings in force.
    pub(crate) fn settings(&self) -> Arc<Settings> {
        Arc::clone(self.settings.borrow_mut().load())
    }

    /// The time, virtual in the simulator.
    #[inline]
    pub(crate) fn now(&self) -> Instant {
        let now = tokio::time::Instant::now().into_std();
        self.time.set(now);
        now
    }

    /// Fills `bytes` with random ones. They are fetched in larger portions: a login needs three times a few.
    pub(crate) fn random(&self, bytes: &mut [u8]) {
        let mut ahead = self.random.borrow_mut();
        if ahead.len() < bytes.len() {
            ahead.resize(RANDOM_AHEAD.max(bytes.len()), 0);
            (self.shared.random)(&mut ahead);
        }
        let left = ahead.len() - bytes.len();
        if let Some(fresh) = ahead.get_mut(left..) {
            bytes.copy_from_slice(fresh);
            // What has been given out is nobody else's to see.
            fresh.fill(0);
        }
        ahead.truncate(left);
    }

    /// The time when the bytes that are being dealt with were read. On the path of a query the clock is read
    /// once for what the client sends and once for what the server answers.
    #[inline]
    pub(crate) fn time(&self) -> Instant {
        self.time.get()
    }

    /// The server connection is being checked or cleaned, or no longer.
    pub(crate) fn set_testing(&self, server: ServerId, testing: bool) {
        self.shared.pools.lock().pools.set_testing(server, testing);
    }

    pub(crate) fn counters_of(&self, database: &Arc<str>) -> Rc<RefCell<Counters>> {
        Rc::clone(self.counters.borrow_mut().entry(Arc::clone(database)).or_default())
    }

    pub(crate) fn all_counters(&self) -> Vec<(Arc<str>, Counters)> {
        self.counters.borrow().iter().map(|(name, counters)| (Arc::clone(name), *counters.borrow())).collect()
    }

    /// Does what the pools left to be done outside their lock.
    pub(crate) fn run(self: &Rc<Self>, errands: Errands) {
        for (conn, reason) in errands.close {
            self.closes.borrow_mut().server(reason);
            conn.close(reason, &self.outbox);
        }
        if self.shared.stopping.load(Ordering::Relaxed) {
            return;
        }
        for (server, pool) in errands.open {
            tokio::task::spawn_local(opener::open(Rc::clone(self), server, pool));
        }
    }

    /// Asks the client that holds this key to cancel what it does; returns when that has been done.
    pub(crate) async fn cancel(&self, key: &CancelKey) {
        let Some(holder) = self.shared.cancel_keys.holder(key) else {
            tracing::debug!("cancel request with a key nobody holds");
            return;
        };
        let (done, wait) = oneshot::channel();
        let message = Message::Cancel { client: holder.client, done };
        if self.shared.door(holder.worker).is_some_and(|door| door.mailbox.send(message).is_ok()) {
            // An error means that the client has gone, and its query with it.
            let _ = wait.await;
        }
    }

    /// Reads word from outside until told to stop.
    pub(crate) async fn serve_mailbox(
        self: Rc<Self>,
        mut mailbox: tokio::sync::mpsc::UnboundedReceiver<Message>,
    ) {
        while let Some(message) = mailbox.recv().await {
            match message {
                Message::Client { socket, ends, place } => {
                    self.take_over(socket, place, Comer::Stranger(ends));
                }
                Message::OpenDoors(doors) => match doors.watch(&self) {
                    Ok(watch) => *self.doors.borrow_mut() = Some(watch),
                    Err(error) => tracing::error!(%error, "cannot watch the doors"),
                },
                Message::CloseDoors => drop(self.doors.take()),
                Message::Adopt { socket, place, guest } => {
                    self.take_over(socket, place, Comer::Guest(guest));
                }
                Message::Relieve { to, clients } => self.let_go(to, clients),
                Message::Cancel { client, done } => {
                    if let Some(card) = self.clients.borrow().get(&client) {
                        card.order(Order::Cancel(done));
                    }
                }
                Message::Close { which, reason, closed } => {
                    // Nobody listening means that the asker has gone; the clients are ended all the same.
                    let _ = closed.send(self.close_clients(&which, reason));
                }
                Message::Report(reply) => {
                    let _ = reply.send(WorkerReport::of(&self));
                }
                Message::SettingsChanged => {
                    // Who has nothing to do lets go of the old ones as well.
                    drop(self.settings());
                    for card in self.clients.borrow().values() {
                        card.session.borrow_mut().set_rules(card.caller.route.rules.load_full());
                    }
                }
                Message::Errands(errands) => self.run(errands),
                Message::Stop => return,
            }
        }
    }

    /// Sees to it that a new client is served, here or by another worker.
    pub(crate) fn place(self: &Rc<Self>, socket: Arrival, ends: Ends, place: Place) {
        let ends = Box::new(ends);
        let doors = self.shared.workers.get().map(Vec::as_slice).unwrap_or_default();
        let chosen = placement::place(doors.iter().map(WorkerDoor::load));
        let Some((number, door)) = chosen.and_then(|chosen| Some((chosen, doors.get(chosen)?))) else {
            return self.shared.admission().leave(place);
        };
        door.clients.fetch_add(1, Ordering::Relaxed);
        if number == usize::from(self.id.0) {
            self.take_over(socket, place, Comer::Stranger(ends));
        } else {
            // A worker that has stopped takes nobody on; then Howdah is stopping.
            drop(door.mailbox.send(Message::Client { socket, ends, place }));
        }
    }

    /// Serves a client from now on: a new one, or a guest of another worker's.
    fn take_over(self: &Rc<Self>, socket: Arrival, place: Place, comer: Comer) {
        match socket.settle() {
            Ok(socket) => {
                tokio::task::spawn_local(client_task::run(Rc::clone(self), socket, place, comer));
            }
            Err(error) => {
                tracing::warn!(%error, "cannot take over a client's socket");
                self.shared.admission().leave(place);
                if let Some(door) = self.shared.door(self.id) {
                    door.clients.fetch_sub(1, Ordering::Relaxed);
                }
            }
        }
    }

    /// Registers a client that is served here from now on.
    pub(crate) fn register(&self, guest: Guest) -> Rc<ClientCard> {
        let counters = self.counters_of(&guest.caller.route.client.database);
        let card = Rc::new(ClientCard::new(guest, counters));
        self.clients.borrow_mut().insert(card.id, Rc::clone(&card));
        card
    }

    /// Asks clients at rest to go to another worker.
    fn let_go(&self, to: WorkerId, clients: usize) {
        let cards = self.clients.borrow();
        let at_rest = cards.values().filter(|card| card.state.get() == ClientState::Idle);
        for card in at_rest.take(clients) {
            card.order(Order::Move(to));
        }
    }

    fn close_clients(&self, which: &Which, reason: CloseReason) -> usize {
        let mut closed = match which {
            Which::All | Which::Database(_) => 0,
            Which::Everybody => self.consoles.close(None, reason),
            Which::One(id) => self.consoles.close(Some(*id), reason),
        };
        for card in self.clients.borrow().values() {
            let chosen = match which {
                Which::All | Which::Everybody => true,
                Which::One(id) => card.id == *id,
                Which::Database(name) => *card.caller.route.client.database == **name,
            };
            if chosen {
                card.order(Order::Close(reason));
                closed += 1;
            }
        }
        closed
    }

    /// Ends clients that have overstepped a time limit. Part of the janitor's round.
    pub(crate) fn close_overdue(&self) {
        let now = self.now();
        self.logins.close_overdue(now);
        for card in self.clients.borrow().values() {
            if card.waiting_since.get().is_some() {
                continue;
            }
            let linked = card.link.get().is_some();
            if let Some(reason) = card.session.borrow().overdue(linked, now) {
                card.order(Order::Close(reason));
            }
        }
    }
}

impl Arrival {
    /// A socket that leaves its worker.
    pub(crate) fn of(socket: Socket) -> std::io::Result<Arrival> {
        Ok(match socket {
            Socket::Tcp(stream) => Arrival::Tcp(stream.into_socket()?),
            Socket::Unix(stream) => Arrival::Unix(stream.into_socket()?),
            #[cfg(test)]
            Socket::Pipe(pipe) => Arrival::Pipe(pipe),
        })
    }

    pub(crate) fn settle(self) -> std::io::Result<Socket> {
        match self {
            Arrival::Tcp(socket) => Socket::tcp(socket),
            Arrival::Unix(socket) => Socket::unix(socket),
            #[cfg(test)]
            Arrival::Pipe(pipe) => Ok(Socket::Pipe(pipe)),
        }
    }
}

/// Big enough that a large result costs few system calls, small enough to stay in the cache.
const SCRATCH: usize = 64 * 1024;
/// Enough for a few logins.
const RANDOM_AHEAD: usize = 512;
