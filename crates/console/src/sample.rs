//! A picture of a small Howdah, for tests.

use std::sync::Arc;
use std::time::{Duration, Instant, UNIX_EPOCH};

use howdah_core::facts::{
    Address, ClientRow, ClientState, CloseReason, Closes, Counters, DatabaseRow, Lists, PoolPins, PoolRow,
    ServerRow, ServerState, Snapshot, StatsRow, UserRow,
};
use howdah_core::session::{Pin, PinReason, PinRow, PinSums, PinTally};
use howdah_core::settings::PoolMode;

/// A small Howdah: one pool, three clients of which one is at the door, one server connection.
pub(crate) fn sample() -> Snapshot {
    let moment = UNIX_EPOCH + Duration::from_secs(1_795_197_600);
    let name = |name: &str| Arc::<str>::from(name);
    let address = |host: [u8; 4], port: u16| Address::Tcp((host, port).into());
    let client = |id, state, link| ClientRow {
        id,
        user: name("ann"),
        database: name("shop"),
        state,
        peer: address([10, 0, 0, 7], 40_000),
        local: address([10, 0, 0, 1], 6432),
        connected: moment,
        requested: moment + Duration::from_secs(1),
        wait: Duration::from_micros(2_000_345),
        close_needed: false,
        link,
        remote_pid: None,
        tls: String::new(),
        application_name: "till".to_owned(),
        prepared_statements: 3,
        idle: None,
        pin: None,
    };
    Snapshot {
        taken: moment,
        pools: vec![PoolRow {
            database: name("shop"),
            user: name("ann"),
            cl_active: 1,
            cl_waiting: 2,
            cl_active_cancel_req: 3,
            cl_waiting_cancel_req: 4,
            sv_active: 5,
            sv_active_cancel: 6,
            sv_being_canceled: 7,
            sv_idle: 8,
            sv_used: 9,
            sv_tested: 10,
            sv_login: 11,
            maxwait: Duration::from_micros(2_000_345),
            pool_mode: PoolMode::Transaction,
            load_balance_hosts: None,
            sv_pinned: 12,
        }],
        clients: vec![
            pinned(client(17, ClientState::Active, Some(258))),
            client(18, ClientState::Waiting, None),
            client(19, ClientState::Login, None),
        ],
        servers: vec![ServerRow {
            id: 258,
            user: name("ann"),
            database: name("shop"),
            state: ServerState::Login,
            peer: Address::Unix(5432),
            local: Address::Unix(5432),
            connected: moment,
            requested: moment,
            close_needed: true,
            link: Some(17),
            remote_pid: 4711,
            tls: "TLSv1.3".to_owned(),
            application_name: String::new(),
            prepared_statements: 0,
        }],
        databases: vec![DatabaseRow {
            name: name("shop"),
            host: None,
            port: 5432,
            database: "shop_2".to_owned(),
            force_user: None,
            pool_size: 20,
            min_pool_size: 1,
            reserve_pool_size: 2,
            server_lifetime: Duration::from_secs(3600),
            pool_mode: None,
            load_balance_hosts: Some("disable"),
            max_connections: 30,
            current_connections: 4,
            max_client_connections: 0,
            current_client_connections: 3,
            paused: true,
            disabled: false,
        }],
        users: vec![user()],
        stats: vec![stats_row("shop"), stats_row("stock")],
        pins: vec![pool_pins()],
        closes: closes(),
        served_clients: 3,
        max_clients: 100,
        lists: Lists { login_clients: 1, dns_names: 2, dns_pending: 3, panics: 4 },
        paused: true,
        suspended: false,
        io_engine: "plain",
    }
}

fn user() -> UserRow {
    UserRow {
        name: "ann".into(),
        pool_size: Some(5),
        reserve_pool_size: None,
        pool_mode: Some(PoolMode::Session),
        max_user_connections: 0,
        current_connections: 1,
        max_user_client_connections: 7,
        current_client_connections: 2,
    }
}

/// As they would be counted with one client pinned now.
fn pool_pins() -> PoolPins {
    let sums = |pinned, begun, millis| PinSums { pinned, begun, time: Duration::from_millis(millis) };
    let by_reason = [(PinReason::TempObject, sums(1, 3, 44_900)), (PinReason::AdvisoryLock, sums(0, 7, 1))];
    let longest = Some(Duration::from_millis(34_900));
    let tally = PinTally { by_reason: by_reason.into(), longest, refused: 2, max: 19 };
    PoolPins { database: "shop".into(), user: "ann".into(), tally }
}

fn closes() -> Closes {
    let mut closes = Closes::default();
    closes.client(CloseReason::ClientVanished);
    closes.client(CloseReason::ClientTerminated);
    closes.client(CloseReason::ClientTerminated);
    closes.server(CloseReason::ServerLifetime);
    closes
}

/// The same client, with a temporary table.
fn pinned(client: ClientRow) -> ClientRow {
    let pin = Pin::new(PinReason::TempObject, Some("t"), b"create temp table t ()", Instant::now());
    let application_name = "till".into();
    let row = PinRow { client: client.id, application_name, pin, age: Duration::from_millis(34_900) };
    ClientRow { idle: Some(Duration::from_millis(1_999)), pin: Some(row), ..client }
}

/// Two minutes; the sums are ten times those of the period.
fn stats_row(database: &str) -> StatsRow {
    let counters = |times: u64| Counters {
        server_assignments: 120 * times,
        transactions: 240 * times,
        queries: 360 * times,
        received: 12_000 * times,
        sent: 24_000 * times,
        transaction_time: 2_400 * times,
        query_time: 3_700 * times,
        wait_time: 60_000 * times,
        client_parses: 1_200 * times,
        server_parses: 119 * times,
        binds: 0,
        logins: 125 * times,
        notifications: 0,
        pins: 240 * times,
        pin_time: 720 * times,
        pins_refused: 121 * times,
        state_replays: 480 * times,
    };
    StatsRow {
        database: Arc::from(database),
        total: counters(10),
        period: counters(1),
        period_length: Duration::from_secs(120),
    }
}
