//! What may happen to the model, and under which rules: at random.

use proptest::prelude::*;

use super::*;

/// What each pool may do; shared limits are the same for all who share them.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    pub(super) own: Vec<PoolConfig>,
    pub(super) databases: [Option<u32>; 2],
    pub(super) users: [Option<u32>; 3],
}

impl Rules {
    pub(super) fn of(&self, pool: usize) -> PoolConfig {
        let (database, user) = POOLS[pool];
        PoolConfig {
            max_db_connections: self.databases[usize::from(database == "stock")],
            max_user_connections: self.users[USERS.iter().position(|&name| name == user).unwrap()],
            ..self.own[pool].clone()
        }
    }
}

#[derive(Clone, Debug)]
pub(super) enum Event {
    Checkout { pool: usize, worker: u16, guise: Guise },
    Opened { nth: usize, worker: u16 },
    OpenFailed { nth: usize },
    GiveBack { nth: usize, worker: u16, guise: Guise, fit: bool },
    Abandon { nth: usize },
    Lost { nth: usize },
    CancelStarted { nth: usize },
    CancelEnded { nth: usize },
    Testing { nth: usize, on: bool },
    Stale { nth: usize },
    Pass { millis: u64 },
    Tick,
    Order { order: Order, database: Option<&'static str> },
    Configure { pool: usize, own: PoolConfig, limits: ([Option<u32>; 2], [Option<u32>; 3]) },
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Order {
    Pause,
    Resume,
    Kill,
    Reconnect,
}

pub(super) fn event() -> impl Strategy<Value = Event> {
    let pool = 0..POOLS.len();
    let few = 0..4_usize;
    let worker = 0..3_u16;
    let millis = prop::sample::select(vec![0, 1, 3, 90, 150, 1_000, 60_000]);
    let order = prop::sample::select(vec![
        Order::Pause,
        Order::Resume,
        Order::Resume,
        Order::Resume,
        Order::Kill,
        Order::Reconnect,
    ]);
    let database = prop::sample::select(vec![None, Some("shop"), Some("stock")]);
    prop_oneof![
        30 => (pool.clone(), worker.clone(), guise())
            .prop_map(|(pool, worker, guise)| Event::Checkout { pool, worker, guise }),
        20 => (few.clone(), worker.clone()).prop_map(|(nth, worker)| Event::Opened { nth, worker }),
        3 => few.clone().prop_map(|nth| Event::OpenFailed { nth }),
        25 => (few.clone(), worker, guise(), prop::bool::weighted(0.9))
            .prop_map(|(nth, worker, guise, fit)| Event::GiveBack { nth, worker, guise, fit }),
        3 => few.clone().prop_map(|nth| Event::Abandon { nth }),
        2 => few.clone().prop_map(|nth| Event::Lost { nth }),
        4 => few.clone().prop_map(|nth| Event::CancelStarted { nth }),
        6 => few.clone().prop_map(|nth| Event::CancelEnded { nth }),
        2 => (few.clone(), any::<bool>()).prop_map(|(nth, on)| Event::Testing { nth, on }),
        1 => few.prop_map(|nth| Event::Stale { nth }),
        10 => millis.prop_map(|millis| Event::Pass { millis }),
        8 => Just(Event::Tick),
        3 => (order, database).prop_map(|(order, database)| Event::Order { order, database }),
        2 => (pool, config(), limits()).prop_map(|(pool, own, limits)| Event::Configure { pool, own, limits }),
    ]
}

fn guise() -> impl Strategy<Value = Guise> {
    prop::sample::select(vec![
        Guise::PLAIN,
        Guise::PLAIN,
        Guise::new(Some(1), 1),
        Guise::new(Some(1), 2),
        Guise::new(None::<u8>, 1),
    ])
}

pub(super) fn rules() -> impl Strategy<Value = Rules> {
    (prop::collection::vec(config(), POOLS.len()), limits()).prop_map(|(own, (databases, users))| Rules {
        own,
        databases,
        users,
    })
}

fn config() -> impl Strategy<Value = PoolConfig> {
    let time = || prop::option::of(prop::sample::select(vec![0, 1, 5, 60]).prop_map(Duration::from_secs));
    let sizes = (1..5_u32, 0..3_u32, 0..3_u32);
    (sizes, [time(), time(), time(), time(), time(), time()], any::<bool>()).prop_map(
        |((size, min_size, reserve_size), times, round_robin)| {
            let [reserve_timeout, query_wait, query_wait_notify, lifetime, idle_timeout, check_delay] = times;
            PoolConfig {
                min_size,
                reserve_size,
                reserve_timeout,
                query_wait,
                query_wait_notify,
                lifetime,
                idle_timeout,
                check_delay,
                round_robin,
                ..plain(size)
            }
        },
    )
}

fn limits() -> impl Strategy<Value = ([Option<u32>; 2], [Option<u32>; 3])> {
    let limit = || prop::option::of(1..5_u32);
    ([limit(), limit()], [limit(), limit(), limit()])
}

pub(super) const POOLS: [(&str, &str); 5] =
    [("shop", "anna"), ("shop", "bert"), ("stock", "anna"), ("stock", "carl"), ("shop", "carl")];
const USERS: [&str; 3] = ["anna", "bert", "carl"];
