//! A pool of 20 server connections, all open.

use std::hint::black_box;
use std::time::Instant;

use howdah_core::pool::{
    Checkout, Condition, Effect, Guise, PoolConfig, PoolId, PoolKey, Pools, ServerId, WorkerId,
};
use howdah_core::settings::Settings;

/// The pool, and what it orders.
pub(crate) struct Counter {
    pools: Pools,
    pool: PoolId,
    effects: Vec<Effect>,
    /// In somebody's hands while others wait.
    taken: Vec<ServerId>,
    now: Instant,
}

impl Counter {
    pub(crate) fn new(now: Instant) -> Counter {
        let settings = Settings::default();
        let key = PoolKey { database: "bench".into(), user: "bench".into() };
        let mut pools = Pools::new(1);
        let pool = pools.pool(&key, || PoolConfig::resolve(&settings, "bench", "bench"));
        let mut counter = Counter { pools, pool, effects: Vec::new(), taken: Vec::new(), now };
        while counter.taken.len() < POOL {
            let queued = counter.pools.checkout(pool, WORKER, Guise::PLAIN, now, &mut counter.effects);
            assert!(matches!(queued, Checkout::Queued(_)));
            let opening: Vec<Effect> = counter.effects.drain(..).collect();
            for effect in opening {
                let Effect::Open { server, .. } = effect else { panic!("{effect:?}") };
                counter.pools.opened(server, WORKER, now, &mut counter.effects);
                counter.taken.push(server);
            }
            counter.effects.retain(|effect| matches!(effect, Effect::Open { .. }));
        }
        counter
    }

    /// The usual case: one is free.
    pub(crate) fn take_and_give(&mut self) {
        for server in std::mem::take(&mut self.taken) {
            self.give(server);
        }
        let checkout = self.pools.checkout(self.pool, WORKER, Guise::PLAIN, self.now, &mut self.effects);
        let Checkout::Granted { server, .. } = black_box(checkout) else { panic!("none is free") };
        self.give(server);
    }

    /// All are taken: one client gets in line, another gives back.
    pub(crate) fn queue_and_grant(&mut self) {
        let checkout = self.pools.checkout(self.pool, WORKER, Guise::PLAIN, self.now, &mut self.effects);
        assert!(matches!(checkout, Checkout::Queued(_)));
        let server = self.taken[0];
        self.pools.give_back(server, WORKER, Condition::Fit, self.now, &mut self.effects);
        assert!(matches!(self.effects[..], [Effect::Grant { .. }]));
        self.effects.clear();
    }

    fn give(&mut self, server: ServerId) {
        self.pools.give_back(server, WORKER, Condition::Fit, self.now, &mut self.effects);
        self.effects.clear();
    }
}

const POOL: usize = 20;
const WORKER: WorkerId = WorkerId(0);
