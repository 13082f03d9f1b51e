//! What goes wrong, and what operators do, while clients work.

use std::rc::Rc;
use std::time::Duration;

use howdah_core::control::Request;
use howdah_core::pool::WorkerId;
use howdah_wire::backend::TransactionStatus;

use super::Chance;
use super::plan::Trouble;
use super::world::World;
use crate::worker::Message;

/// Brings the troubles of the plan, one after the other.
pub(super) async fn make(world: Rc<World>) {
    let mut chance = world.fork();
    for trouble in world.plan.troubles.clone() {
        tokio::time::sleep(chance.millis(5, 150)).await;
        if world.over.get() {
            return;
        }
        world.log(|| format!("trouble: {trouble:?}"));
        let at = Rc::clone(&world);
        match trouble {
            Trouble::ResetClient => {
                let clients = world.facts.borrow().scissors.clone();
                if !clients.is_empty() {
                    let (number, scissors) = &clients[chance.below(clients.len())];
                    world.log(|| format!("c{number} is cut off"));
                    scissors.cut();
                }
            }
            Trouble::ResetServer => {
                let cards = world.cluster.alive();
                if !cards.is_empty() {
                    world.facts.borrow_mut().excuse(&LOST);
                    let card = &cards[chance.below(cards.len())];
                    world.log(|| format!("pg {} is cut off", card.pid));
                    card.scissors.cut();
                }
            }
            Trouble::RefuseLogins => {
                world.facts.borrow_mut().excuse(&["57P03"]);
                world.cluster.starting_up.set(true);
                let time = chance.millis(10, 1500);
                world.spawn("start-up", async move {
                    tokio::time::sleep(time).await;
                    at.cluster.starting_up.set(false);
                });
            }
            Trouble::Crash => {
                world.facts.borrow_mut().excuse(&LOST);
                world.cluster.down.set(true);
                world.cluster.alive().iter().for_each(|card| card.scissors.cut());
                let time = chance.millis(10, 1500);
                world.spawn("recovery", async move {
                    tokio::time::sleep(time).await;
                    at.cluster.down.set(false);
                });
            }
            Trouble::EndIdle => {
                world.facts.borrow_mut().excuse(&LOST);
                for card in world.cluster.alive() {
                    if card.status.get() == TransactionStatus::Idle && card.running.get().is_none() {
                        card.end_by_administrator();
                    }
                }
            }
            Trouble::Reload => {
                let value = chance.between(1, world.plan.pool_size as usize).to_string();
                let key = "default_pool_size".to_owned();
                let _ = world.control.run(Request::Set { key, value }).await;
            }
            Trouble::Pause => {
                world.spawn("pause", pause(Rc::clone(&world), chance.millis(10, 500)));
            }
            Trouble::Reconnect => drop(world.control.run(Request::Reconnect(None)).await),
            Trouble::Relieve => {
                relieve(&world, &mut chance);
            }
            Trouble::Kill => {
                world.facts.borrow_mut().excuse(&["57P01"]);
                let database = Some("db0".to_owned());
                let outcome = world.control.run(Request::Kill(database.clone())).await;
                world.log(|| format!("KILL db0: {outcome:?}"));
                let time = chance.millis(10, 500);
                world.spawn("resume", async move {
                    tokio::time::sleep(time).await;
                    let outcome = at.control.run(Request::Resume(database)).await;
                    at.log(|| format!("RESUME db0: {outcome:?}"));
                });
            }
            Trouble::Chatter => world.cluster.alive().iter().for_each(|card| card.chat()),
            Trouble::Timeouts => {
                let (key, code) = chance.pick(&[
                    ("query_timeout", "57014"),
                    ("transaction_timeout", "25P04"),
                    ("idle_transaction_timeout", "25P03"),
                ]);
                world.facts.borrow_mut().excuse(&[code]);
                let (key, value) = (key.to_owned(), chance.between(10, 60).to_string());
                let _ = world.control.run(Request::Set { key, value }).await;
            }
            Trouble::KillClient => {
                world.facts.borrow_mut().excuse(&["57P01"]);
                let id = chance.between(1, world.plan.clients) as u64;
                let outcome = world.control.run(Request::KillClient(id)).await;
                world.log(|| format!("KILL_CLIENT {id}: {outcome:?}"));
            }
        }
    }
}

async fn pause(world: Rc<World>, time: Duration) {
    let paused = world.control.run(Request::Pause(None));
    // Clients in session mode may stay for longer than we care to wait.
    let outcome = tokio::time::timeout(time, paused).await;
    world.log(|| format!("PAUSE: {outcome:?}"));
    tokio::time::sleep(time).await;
    let outcome = world.control.run(Request::Resume(None)).await;
    world.log(|| format!("RESUME: {outcome:?}"));
}

/// What a client may be told whose server connection has broken, or that finds none.
const LOST: [&str; 3] = ["08001", "08006", "57P01"];

/// Some clients at rest go from one worker to another.
fn relieve(world: &World, chance: &mut Chance) {
    let workers = world.plan.workers;
    let (from, to) = (chance.below(workers), chance.below(workers));
    let to = WorkerId(u16::try_from(to).unwrap());
    let doors = world.shared.workers.get().unwrap();
    let _ = doors[from].mailbox.send(Message::Relieve { to, clients: chance.between(1, 5) });
}
