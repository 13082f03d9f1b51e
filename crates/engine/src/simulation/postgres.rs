//! The model PostgreSQL, as far as it listens: who gets a backend, and what a cancel request does.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;
use std::task::Waker;

use howdah_wire::backend::TransactionStatus;
use howdah_wire::startup::MAX_STARTUP_LEN;
use howdah_wire::{CancelKey, StartupPacket};
use tokio::sync::{mpsc, oneshot};

use super::backend::{Backend, refuse};
use super::check::Hit;
use super::sql::Asked;
use super::wire::Wire;
use super::world::World;
use crate::net::{Connecting, Endpoint, Net, Pipe, Scissors, Socket, pipe};

/// Somebody wants a connection.
pub(super) type Dial = oneshot::Sender<io::Result<Pipe>>;

/// The network in which there is one PostgreSQL.
pub(super) struct SimulatedNet {
    dials: mpsc::UnboundedSender<Dial>,
}

impl SimulatedNet {
    pub(super) fn new(dials: mpsc::UnboundedSender<Dial>) -> SimulatedNet {
        SimulatedNet { dials }
    }
}

impl Net for SimulatedNet {
    fn connect<'a>(&'a self, _: &'a Endpoint) -> Connecting<'a> {
        Box::pin(async move {
            let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
            let (reply, answer) = oneshot::channel();
            self.dials.send(reply).map_err(|_| refused())?;
            answer.await.map_err(|_| refused())?.map(Socket::Pipe)
        })
    }
}

/// All backends, dead and alive, and what keeps others from coming.
#[derive(Default)]
pub(super) struct Cluster {
    pub(super) cards: RefCell<Vec<Rc<Card>>>,
    /// The port is closed.
    pub(super) down: Cell<bool>,
    /// The port is open, but nobody is let in.
    pub(super) starting_up: Cell<bool>,
    /// Most connections there ever were at once.
    pub(super) most: RefCell<BTreeMap<Whose, usize>>,
}

/// Something that has a limit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Whose {
    Pool(String, String),
    Database(String),
}

/// What is known of a backend from outside.
pub(super) struct Card {
    pub(super) pid: u32,
    pub(super) secret: [u8; 4],
    pub(super) pool: (String, String),
    pub(super) scissors: Scissors,
    pub(super) alive: Cell<bool>,
    pub(super) status: Cell<TransactionStatus>,
    /// The statement under way, and who asked for it.
    pub(super) running: Cell<Option<Option<Asked>>>,
    /// It is to be cancelled.
    pub(super) cancel: Cell<bool>,
    /// An administrator ends this backend.
    pub(super) terminate: Cell<bool>,
    /// It says something that nobody asked for.
    pub(super) chatter: Cell<bool>,
    pub(super) waker: RefCell<Waker>,
}

impl Card {
    fn wake(&self) {
        self.waker.borrow().wake_by_ref();
    }

    pub(super) fn end_by_administrator(&self) {
        self.terminate.set(true);
        self.wake();
    }

    pub(super) fn chat(&self) {
        self.chatter.set(true);
        self.wake();
    }
}

impl Cluster {
    pub(super) fn alive(&self) -> Vec<Rc<Card>> {
        self.cards.borrow().iter().filter(|card| card.alive.get()).cloned().collect()
    }

    fn admit(&self, card: Rc<Card>) {
        let (database, user) = card.pool.clone();
        self.cards.borrow_mut().push(card);
        let open: Vec<_> = self.alive().into_iter().filter(|card| !card.scissors.is_dead()).collect();
        let of_database = open.iter().filter(|card| card.pool.0 == database);
        self.note_most(Whose::Database(database.clone()), of_database.clone().count());
        let of_pool = of_database.filter(|card| card.pool.1 == user).count();
        self.note_most(Whose::Pool(database, user), of_pool);
    }

    fn note_most(&self, whose: Whose, now: usize) {
        let mut most = self.most.borrow_mut();
        let most = most.entry(whose).or_default();
        *most = now.max(*most);
    }
}

/// The postmaster.
pub(super) async fn accept(world: Rc<World>, mut calls: mpsc::UnboundedReceiver<Dial>) {
    while let Some(dial) = calls.recv().await {
        let mut chance = world.fork();
        let at = Rc::clone(&world);
        world.spawn("postmaster", async move {
            tokio::time::sleep(chance.millis(0, 3)).await;
            if at.cluster.down.get() {
                let _ = dial.send(Err(io::ErrorKind::ConnectionRefused.into()));
                return;
            }
            let (ours, theirs) = pipe(at.plan.server_pipe(&mut chance));
            if dial.send(Ok(theirs)).is_ok() {
                greet(at, Wire::new(ours), chance).await;
            }
        });
    }
}

async fn greet(world: Rc<World>, mut wire: Wire, mut chance: super::Chance) {
    let packet = loop {
        let Ok(bytes) = wire.more().await else { return };
        match StartupPacket::parse(bytes, MAX_STARTUP_LEN) {
            Ok(None) => {}
            Ok(Some((_, taken))) => break bytes.drain(..taken).collect::<Vec<u8>>(),
            Err(error) => return world.fail(format!("Howdah begins with nonsense: {error}")),
        }
    };
    let startup = match StartupPacket::parse(&packet, MAX_STARTUP_LEN) {
        Ok(Some((StartupPacket::Startup(startup), _))) => startup,
        Ok(Some((StartupPacket::CancelRequest(key), _))) => {
            tokio::time::sleep(chance.millis(0, 3)).await;
            return cancel(&world, &key);
        }
        other => return world.fail(format!("Howdah begins with {other:?}")),
    };
    tokio::time::sleep(chance.millis(0, 5)).await;
    if world.cluster.starting_up.get() {
        return refuse(wire, "57P03", "the database system is starting up").await;
    }
    if world.cluster.alive().len() >= world.plan.max_connections {
        return refuse(wire, "53300", "sorry, too many clients already").await;
    }
    let named = |name| startup.parameter(name).unwrap_or_default().to_owned();
    let card = Rc::new(Card {
        pid: 1000 + u32::try_from(world.cluster.cards.borrow().len()).unwrap(),
        secret: [chance.draw().to_le_bytes()[0], 1, 2, 3],
        pool: (named("database"), named("user")),
        scissors: wire.scissors.clone(),
        alive: Cell::new(true),
        status: Cell::new(TransactionStatus::Idle),
        running: Cell::new(None),
        cancel: Cell::new(false),
        terminate: Cell::new(false),
        chatter: Cell::new(false),
        waker: RefCell::new(Waker::noop().clone()),
    });
    world.cluster.admit(Rc::clone(&card));
    world.log(|| format!("pg {} begins for {:?}", card.pid, card.pool));
    let backend = Backend::new(Rc::clone(&world), wire, Rc::clone(&card), chance);
    let end = backend.serve().await;
    card.alive.set(false);
    card.running.set(None);
    world.log(|| format!("pg {} ends: {end:?}", card.pid));
}

fn cancel(world: &World, key: &CancelKey) {
    let cards = world.cluster.alive();
    let Some(card) =
        cards.iter().find(|card| card.pid == key.pid && card.secret[..] == *key.secret.as_bytes())
    else {
        return world.log(|| format!("cancel request for pg {}, which is not there", key.pid));
    };
    let running = card.running.get();
    world.log(|| format!("cancel request for pg {} hits {running:?}", card.pid));
    if let Some(asked) = running {
        card.cancel.set(true);
        card.wake();
        world.facts.borrow_mut().hits.push(Hit { asked, at: tokio::time::Instant::now() });
    }
}
