//! What a seed stands for.

use std::collections::BTreeMap;
use std::time::Duration;

use howdah_core::settings::{AuthMethod, Database, MaxPinned, PoolMode, Settings};
use howdah_wire::Secret;

use super::Chance;
use crate::net::PipeFaults;

/// The circumstances of one run.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) clients: usize,
    /// Logical workers, all on the one thread of the run.
    pub(super) workers: usize,
    pub(super) pool_size: u32,
    /// Their names are `db0`, `db1`…
    pub(super) modes: Vec<PoolMode>,
    pub(super) users: usize,
    /// What PostgreSQL admits.
    pub(super) max_connections: usize,
    pub(super) max_prepared_statements: u32,
    pub(super) max_db_connections: Option<u32>,
    pub(super) reserve_size: u32,
    /// Even what Howdah asks on its own account takes a while.
    pub(super) slow_servers: bool,
    short_lives: bool,
    /// Only so many server connections may be pinned.
    pub(super) max_pinned: MaxPinned,
    /// Clients LISTEN.
    pub(super) listens: bool,
    /// Milliseconds after which an idle server connection is checked before use.
    pub(super) check_delay: u64,
    round_robin: bool,
    /// Steps of one client's visit, at most.
    pub(super) steps: usize,
    pub(super) client_pipes: PipeKind,
    pub(super) server_pipes: PipeKind,
    pub(super) troubles: Vec<Trouble>,
}

/// What goes wrong now and then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// A client's connection breaks.
    ResetClient,
    /// A server connection breaks.
    ResetServer,
    /// Nobody can log in for a while.
    RefuseLogins,
    /// All server connections break, and for a while there is nobody to connect to.
    Crash,
    /// A server connection that is idle is ended with FATAL.
    EndIdle,
    /// Settings change.
    Reload,
    /// PAUSE, and RESUME after a while.
    Pause,
    /// RECONNECT.
    Reconnect,
    /// Clients at rest go to another worker.
    Relieve,
    /// KILL_CLIENT.
    KillClient,
    /// KILL, and RESUME after a while.
    Kill,
    /// Servers say what nobody asked for.
    Chatter,
    /// `query_timeout`, `transaction_timeout` or `idle_transaction_timeout` from now on.
    Timeouts,
}

/// How unkind the pipes of one side are.
#[derive(Clone, Copy, Debug)]
pub(super) struct PipeKind {
    pub(super) largest_piece: usize,
    pub(super) longest_delay: usize,
    pub(super) capacity: usize,
}

impl Plan {
    pub(super) fn new(chance: &mut Chance) -> Plan {
        // Half of the seeds are the plain case: ten clients, two server connections, two workers.
        let plain = chance.one_in(2);
        let modes = [PoolMode::Transaction, PoolMode::Transaction, PoolMode::Session, PoolMode::Statement];
        let databases = if plain { 1 } else { chance.between(1, 2) };
        let users = if plain { 1 } else { chance.between(1, 2) };
        let pool_size = if plain { 2 } else { chance.between(1, 3) };
        let most = databases * users * pool_size;
        let all = [
            Trouble::ResetClient,
            Trouble::ResetServer,
            Trouble::RefuseLogins,
            Trouble::Crash,
            Trouble::EndIdle,
            Trouble::Reload,
            Trouble::Pause,
            Trouble::Reconnect,
            Trouble::Relieve,
            Trouble::KillClient,
            Trouble::Kill,
            Trouble::Chatter,
            Trouble::Timeouts,
        ];
        let calm = chance.one_in(4);
        let troubles =
            if calm { Vec::new() } else { (0..chance.between(1, 4)).map(|_| chance.pick(&all)).collect() };
        Plan {
            clients: if plain { 10 } else { chance.between(3, 12) },
            workers: if plain { 2 } else { chance.between(1, 3) },
            pool_size: u32::try_from(pool_size).unwrap(),
            modes: (0..databases).map(|_| chance.pick(&modes)).collect(),
            users,
            max_connections: if chance.one_in(6) { most.div_ceil(2) } else { 100 },
            max_prepared_statements: chance.pick(&[1, 2, 3, 200]),
            max_db_connections: (!plain && chance.one_in(3))
                .then(|| u32::try_from(chance.between(1, 3)).unwrap()),
            reserve_size: if plain { 0 } else { chance.pick(&[0, 0, 1]) },
            slow_servers: chance.one_in(3),
            short_lives: chance.one_in(4),
            max_pinned: chance.pick(&[MaxPinned::Unlimited, MaxPinned::AllButOne]),
            listens: chance.one_in(4),
            check_delay: chance.pick(&[0, 10, 200]),
            round_robin: chance.one_in(3),
            steps: chance.between(1, 6),
            client_pipes: PipeKind::new(chance),
            server_pipes: PipeKind::new(chance),
            troubles,
        }
    }

    pub(super) fn client_pipe(&self, chance: &mut Chance) -> PipeFaults {
        self.client_pipes.faults(chance)
    }

    pub(super) fn server_pipe(&self, chance: &mut Chance) -> PipeFaults {
        self.server_pipes.faults(chance)
    }

    /// PostgreSQL may say so, and clients then hear it.
    pub(super) fn is_short_of_connections(&self) -> bool {
        self.max_connections < 100
    }

    pub(super) fn settings(&self) -> Settings {
        let mut settings = Settings::default();
        settings.auth.method = AuthMethod::Trust;
        settings.pool.size = self.pool_size;
        settings.pool.max_prepared_statements = self.max_prepared_statements;
        settings.clients.max_client_conn = 1000;
        settings.timeouts.query_wait = Some(Duration::from_secs(90));
        settings.timeouts.query_wait_notify = Some(Duration::from_secs(1));
        settings.timeouts.server_login_retry = Duration::from_millis(500);
        settings.timeouts.server_check_delay = Duration::from_millis(self.check_delay);
        settings.pool.max_db_connections = self.max_db_connections;
        settings.pool.reserve_size = self.reserve_size;
        settings.pool.round_robin = self.round_robin;
        settings.timeouts.reserve_pool = Some(Duration::from_millis(100));
        if self.short_lives {
            settings.timeouts.server_lifetime = Some(Duration::from_millis(40));
            settings.timeouts.server_idle = Some(Duration::from_millis(20));
        }
        settings.state.max_pinned = self.max_pinned;
        settings.log.stats = false;
        let secret = Secret::parse("");
        settings.secrets = (0..self.users).map(|n| (user(n), secret.clone())).collect();
        let database =
            |mode| Database { hosts: vec!["model".to_owned()], pool_mode: Some(mode), ..Database::default() };
        settings.databases = self
            .modes
            .iter()
            .enumerate()
            .map(|(n, &mode)| (format!("db{n}"), database(mode)))
            .collect::<BTreeMap<_, _>>();
        settings
    }
}

/// Every other one is a superuser.
pub(super) fn user(number: usize) -> String {
    if number.is_multiple_of(2) { format!("super{number}") } else { format!("u{number}") }
}

impl PipeKind {
    /// What it may carry at once, roughly.
    pub(super) fn smallest(self) -> usize {
        self.largest_piece.min(4 * self.capacity)
    }

    fn new(chance: &mut Chance) -> PipeKind {
        PipeKind {
            largest_piece: chance.pick(&[1, 2, 7, 64, 1000, 65_536, 65_536]),
            longest_delay: chance.pick(&[0, 0, 1, 5]),
            capacity: chance.pick(&[16, 300, 65_536, 65_536]),
        }
    }

    fn faults(self, chance: &mut Chance) -> PipeFaults {
        let PipeKind { largest_piece, longest_delay, capacity } = self;
        PipeFaults { seed: chance.draw(), largest_piece, longest_delay, capacity }
    }
}
