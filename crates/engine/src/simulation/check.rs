//! What must hold when all is over.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::atomic::Ordering;
use std::time::Duration;

use howdah_core::pool::ServerCounts;
use howdah_wire::backend::TransactionStatus;
use tokio::time::Instant;

use super::postgres::Whose;
use super::sql::Asked;
use super::world::World;
use crate::net::Scissors;

/// What has been noted on the way.
#[derive(Default)]
pub(super) struct Facts {
    /// Replies checked.
    pub(super) checked: usize,
    /// Statements carried out by PostgreSQL.
    pub(super) executed: BTreeSet<Asked>,
    pub(super) asks: Vec<Ask>,
    pub(super) hits: Vec<Hit>,
    pub(super) departures: Vec<Departure>,
    /// All clients' connections.
    pub(super) scissors: Vec<(usize, Scissors)>,
    /// SQLSTATEs with which a client may be sent away, after what has happened.
    excuses: BTreeSet<&'static str>,
}

/// A client has asked for its query to be cancelled.
pub(super) struct Ask {
    pub(super) client: usize,
    pub(super) from: Instant,
    /// When it knew the request delivered.
    pub(super) to: Option<Instant>,
}

/// A cancel request has hit a statement.
#[derive(Debug)]
pub(super) struct Hit {
    pub(super) asked: Option<Asked>,
    pub(super) at: Instant,
}

/// A client has gone with questions unanswered.
pub(super) struct Departure {
    pub(super) client: usize,
    pub(super) unanswered: Range<usize>,
}

impl Facts {
    pub(super) fn excuse(&mut self, codes: &[&'static str]) {
        self.excuses.extend(codes);
    }

    pub(super) fn excuses(&self, code: &str) -> bool {
        self.excuses.contains(code)
    }

    /// Some client may be sent away.
    pub(super) fn excuses_any(&self) -> bool {
        !self.excuses.is_empty()
    }

    fn is_meant(&self, hit: &Hit) -> bool {
        let Some(Asked { client, sequence }) = hit.asked else { return true };
        let in_time = |ask: &Ask| ask.from <= hit.at && ask.to.is_none_or(|to| hit.at <= to);
        self.asks.iter().any(|ask| ask.client == client && in_time(ask))
            || self.departures.iter().any(|gone| gone.client == client && gone.unanswered.contains(&sequence))
    }
}

/// Waits until Howdah has tidied up, and looks at what is left.
pub(super) async fn end(world: &World) {
    if tokio::time::timeout(LONGEST_TIDYING, tidied(world)).await.is_err() {
        let inner = world.shared.pools.lock();
        for view in inner.pools.pool_views(Instant::now().into_std()) {
            world.fail(format!("left over in {}: {}, {} in line", view.key, view.servers, view.waiting));
        }
        drop(inner);
        let served = world.shared.admission().total_served();
        world.fail(format!("{served} clients are still counted"));
    }
    if world.shared.panics.load(Ordering::Relaxed) > 0 {
        world.fail("a panic");
    }
    for card in world.cluster.alive() {
        if card.status.get() != TransactionStatus::Idle || card.running.get().is_some() {
            world.fail(format!("pg {} is left {:?}, {:?}", card.pid, card.status.get(), card.running.get()));
        }
    }
    for (whose, most) in &*world.cluster.most.borrow() {
        let limit = match whose {
            Whose::Pool(..) => world.plan.pool_size + world.plan.reserve_size,
            Whose::Database(_) => world.plan.max_db_connections.unwrap_or(u32::MAX),
        };
        // One more while it is wanted for those who listen.
        let limit = limit.saturating_add(u32::from(world.plan.listens));
        if *most > limit as usize {
            world.fail(format!("{most} server connections of {whose:?} at once"));
        }
    }
    let facts = world.facts.borrow();
    for hit in facts.hits.iter().filter(|hit| !facts.is_meant(hit)) {
        world.fail(format!("a cancel request hit what it was not meant for: {hit:?}"));
    }
}

async fn tidied(world: &World) {
    while !is_tidy(world) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn is_tidy(world: &World) -> bool {
    let in_use = |servers: ServerCounts| servers.total() - servers.idle - servers.used;
    let inner = world.shared.pools.lock();
    let mut views = inner.pools.pool_views(Instant::now().into_std());
    views.all(|view| in_use(view.servers) == 0 && view.waiting == 0)
        && world.shared.admission().total_served() == 0
        && world.cluster.alive().iter().all(|card| card.running.get().is_none() && !card.scissors.is_dead())
}

/// Longest a query or a clean-up may take when nobody is left.
const LONGEST_TIDYING: Duration = Duration::from_secs(30);
