//! Scripted clients: they come, ask, sometimes cancel, and leave in every way there is.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use howdah_core::settings::PoolMode;
use howdah_model::Session;
use howdah_wire::backend::TransactionStatus;
use howdah_wire::startup::{write_cancel_request, write_startup};
use howdah_wire::{CancelKey, ProtocolVersion, frontend};
use tokio::time::Instant;

use super::Chance;
use super::check::{Ask, Departure};
use super::plan;
use super::sql::{Asked, INITIAL};
use super::wire::{Lost, Wire};
use super::world::World;
use crate::acceptor;
use crate::net::{Ends, pipe};
use crate::worker::Arrival;

/// One visit of a client, from connect to goodbye.
pub(super) struct Client {
    pub(super) world: Rc<World>,
    pub(super) number: usize,
    pub(super) visit: usize,
    pub(super) wire: Wire,
    pub(super) chance: Chance,
    pub(super) mode: PoolMode,
    pub(super) key: Option<CancelKey>,
    /// What the server says of itself.
    pub(super) reported: BTreeMap<String, String>,
    pub(super) status: TransactionStatus,
    /// Its session as it must be.
    pub(super) session: Session,
    /// An error was reported since the last transaction ended.
    pub(super) failed: bool,
    /// An error was reported in the last exchange.
    pub(super) erred: bool,
    /// Its prepared statements: which text each name stands for.
    pub(super) statements: BTreeMap<String, usize>,
    /// The number of its last question, over all visits.
    pub(super) asked: Rc<Cell<usize>>,
    /// The questions that are not answered yet begin here.
    pub(super) unanswered: usize,
}

/// Why a visit ends before its time. Whether it may has been judged by then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ended;

pub(super) async fn live(world: Rc<World>, number: usize) {
    let mut chance = world.fork();
    let asked = Rc::new(Cell::new(0));
    for visit in 0..chance.between(1, 2) {
        tokio::time::sleep(chance.millis(0, 60)).await;
        let mut client = Client::connect(&world, (number, visit), &mut chance, &asked).await;
        let outcome = client.stay().await;
        client.depart(outcome);
    }
}

/// Another end of the pipe goes to Howdah's door.
async fn dial(world: &World, chance: &mut Chance) -> Wire {
    let (ours, theirs) = pipe(world.plan.client_pipe(chance));
    for door in world.shared.workers.get().into_iter().flatten() {
        // Placement and moves depend on how busy threads are, which virtual time does not tell.
        door.busy.store(u32::try_from(chance.below(1000)).unwrap(), Ordering::Relaxed);
    }
    let door = Rc::clone(&world.workers.borrow()[0]);
    acceptor::receive(&door, Ok((Arrival::Pipe(theirs), Ends::unix(0)))).await;
    Wire::new(ours)
}

impl Client {
    async fn connect(
        world: &Rc<World>,
        (number, visit): (usize, usize),
        chance: &mut Chance,
        asked: &Rc<Cell<usize>>,
    ) -> Client {
        let mut chance = chance.fork();
        let database = chance.below(world.plan.modes.len());
        let user = plan::user(chance.below(world.plan.users));
        let mut wire = dial(world, &mut chance).await;
        let name = format!("c{number}v{visit}n0");
        let parameters = [
            ("user", user.clone()),
            ("database", format!("db{database}")),
            ("application_name", name.clone()),
            ("TimeZone", format!("Zone/c{number}")),
        ];
        let settings = INITIAL.map(|(name, value)| {
            let own = parameters.iter().find(|(own, _)| own.eq_ignore_ascii_case(name));
            (name, own.map_or(value, |(_, value)| value.as_str()))
        });
        let parameters = parameters.iter().map(|(name, value)| (*name, value.as_str()));
        let version = chance.pick(&[ProtocolVersion::V3_0, ProtocolVersion::V3_2]);
        write_startup(wire.out(), version, parameters);
        world.log(|| format!("c{number} visit {visit} to db{database} as {user}"));
        world.facts.borrow_mut().scissors.push((number, wire.scissors.clone()));
        Client {
            mode: world.plan.modes[database],
            world: Rc::clone(world),
            number,
            visit,
            wire,
            chance,
            key: None,
            reported: BTreeMap::new(),
            status: TransactionStatus::Idle,
            session: Session::new(&user, &settings),
            failed: false,
            erred: false,
            statements: BTreeMap::new(),
            asked: Rc::clone(asked),
            unanswered: asked.get() + 1,
        }
    }

    async fn stay(&mut self) -> Result<(), Ended> {
        if self.chance.one_in(40) {
            // Gone in the middle of its first packet.
            self.wire.budget = Some(self.chance.below(self.wire.out().len()));
        }
        self.log_in().await?;
        for _ in 0..self.chance.between(1, self.world.plan.steps) {
            if self.chance.one_in(3) {
                let pause = self.chance.millis(0, 30);
                self.pause(pause).await;
            }
            self.step().await?;
        }
        self.say_goodbye().await
    }

    /// Time in which it does not read either.
    pub(super) async fn pause(&mut self, time: Duration) {
        // What it has said is sent all the same.
        let _ = tokio::time::timeout(time, self.wire.flush()).await;
        tokio::time::sleep(time).await;
    }

    async fn say_goodbye(&mut self) -> Result<(), Ended> {
        match self.chance.below(5) {
            0 => {}
            1 => {
                // In good order, but with a question still open.
                let millis = self.chance.between(0, 80) as u64;
                let asked = self.next_question();
                let sql = super::sql::Sql::Sleep { asked, millis };
                frontend::write_query(self.wire.out(), sql.to_string().as_bytes());
                frontend::write_terminate(self.wire.out());
            }
            _ => frontend::write_terminate(self.wire.out()),
        }
        // It does not read any more, so nobody has to take what it says.
        let said = tokio::time::timeout(Duration::from_secs(1), self.wire.flush()).await;
        said.unwrap_or(Ok(())).map_err(|lost| self.lost(lost))
    }

    /// From here on nothing is expected any more.
    fn depart(self, outcome: Result<(), Ended>) {
        let Client { world, number, unanswered, asked, .. } = &self;
        world.log(|| format!("c{number} leaves: {outcome:?}"));
        let departure = Departure { client: *number, unanswered: *unanswered..asked.get() + 1 };
        world.facts.borrow_mut().departures.push(departure);
    }

    pub(super) fn next_question(&mut self) -> Asked {
        self.asked.set(self.asked.get() + 1);
        Asked { client: self.number, sequence: self.asked.get() }
    }

    /// Perhaps it vanishes somewhere in what it is about to send.
    pub(super) fn perhaps_vanish(&mut self) {
        if self.chance.one_in(25) {
            let least = 0;
            self.wire.budget = Some(self.chance.between(least, self.wire.out().len()));
        }
    }

    /// Sends a cancel request after a while, over a connection of its own.
    pub(super) fn cancel_later(&mut self) {
        let Some(key) = self.key.clone() else { return };
        let (world, number, mut chance) = (Rc::clone(&self.world), self.number, self.chance.fork());
        self.world.spawn("canceller", async move {
            tokio::time::sleep(chance.millis(0, 60)).await;
            let ask = world.facts.borrow().asks.len();
            world.facts.borrow_mut().asks.push(Ask { client: number, from: Instant::now(), to: None });
            world.log(|| format!("c{number} asks to cancel"));
            let mut wire = dial(&world, &mut chance).await;
            write_cancel_request(wire.out(), &key);
            let mut lost = wire.flush().await.err();
            while lost.is_none() {
                lost = wire.more().await.map(Vec::clear).err();
            }
            if lost == Some(Lost::Closed) {
                world.facts.borrow_mut().asks[ask].to = Some(Instant::now());
            }
            world.log(|| format!("c{number} knows its cancel request delivered: {lost:?}"));
        });
    }
}
