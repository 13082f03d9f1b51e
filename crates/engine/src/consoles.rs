//! Who is on the admin console, and what its tables say of the console's own database.
//!
//! A client of the console has no session and no pool, only a card by which others see it and end it. The rows are
//! as PgBouncer's: a database, a pool and a user of the name `pgbouncer`, in which nothing is ever pooled.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::{Duration, SystemTime};

use howdah_core::facts::{Address, ClientRow, ClientState, CloseReason, DatabaseRow, PoolRow};
use howdah_core::settings::PoolMode;
use rustc_hash::FxHashMap;

use crate::net::Ends;

/// The clients of the console on one worker.
#[derive(Default)]
pub(crate) struct Consoles(RefCell<FxHashMap<u64, Rc<ConsoleCard>>>);

impl Consoles {
    pub(crate) fn enter(&self, card: &Rc<ConsoleCard>) {
        self.0.borrow_mut().insert(card.id, Rc::clone(card));
    }

    pub(crate) fn leave(&self, id: u64) {
        self.0.borrow_mut().remove(&id);
    }

    /// Rows of SHOW CLIENTS.
    pub(crate) fn rows(&self) -> Vec<ClientRow> {
        self.0.borrow().values().map(|card| card.row()).collect()
    }

    /// Ends the one with this id, or all of them; says how many that were.
    pub(crate) fn close(&self, id: Option<u64>, reason: CloseReason) -> usize {
        let cards = self.0.borrow();
        let chosen = cards.values().filter(|card| id.is_none_or(|id| card.id == id));
        chosen.inspect(|card| card.close(reason)).count()
    }
}

/// What others know of a client of the console, and how they reach it.
pub(crate) struct ConsoleCard {
    pub(crate) id: u64,
    pub(crate) user: Arc<str>,
    pub(crate) peer: Address,
    pub(crate) local: Address,
    pub(crate) remote_pid: Option<u32>,
    pub(crate) application_name: String,
    pub(crate) connected: SystemTime,
    pub(crate) requested: Cell<SystemTime>,
    order: Cell<Option<CloseReason>>,
    waker: RefCell<Waker>,
}

impl ConsoleCard {
    pub(crate) fn new(
        id: u64,
        user: Arc<str>,
        ends: Ends,
        remote_pid: Option<u32>,
        application_name: String,
    ) -> Rc<ConsoleCard> {
        let now = SystemTime::now();
        Rc::new(ConsoleCard {
            id,
            user,
            peer: ends.peer,
            local: ends.local,
            remote_pid,
            application_name,
            connected: now,
            requested: Cell::new(now),
            order: Cell::new(None),
            waker: RefCell::new(Waker::noop().clone()),
        })
    }

    /// It has been told to end.
    pub(crate) fn told_to_end(&self) -> Option<CloseReason> {
        self.order.get()
    }

    /// Waits for `work`, but no longer than until this client is told to end. Work that is done goes first: a
    /// SHUTDOWN is answered before it ends its own console.
    ///
    /// # Errors
    /// It has been told to end.
    pub(crate) async fn unless_ended<T>(&self, work: impl Future<Output = T>) -> Result<T, CloseReason> {
        let mut work = std::pin::pin!(work);
        std::future::poll_fn(|cx| {
            self.waker.borrow_mut().clone_from(cx.waker());
            match (work.as_mut().poll(cx), self.order.get()) {
                (Poll::Ready(done), _) => Poll::Ready(Ok(done)),
                (Poll::Pending, Some(reason)) => Poll::Ready(Err(reason)),
                (Poll::Pending, None) => Poll::Pending,
            }
        })
        .await
    }

    fn close(&self, reason: CloseReason) {
        self.order.set(Some(reason));
        self.waker.borrow().wake_by_ref();
    }

    fn row(&self) -> ClientRow {
        ClientRow {
            id: self.id,
            user: Arc::clone(&self.user),
            database: NAME.into(),
            state: ClientState::Active,
            peer: self.peer,
            local: self.local,
            connected: self.connected,
            requested: self.requested.get(),
            wait: Duration::ZERO,
            close_needed: false,
            link: None,
            remote_pid: self.remote_pid,
            tls: String::new(),
            application_name: self.application_name.clone(),
            prepared_statements: 0,
            idle: None,
            pin: None,
        }
    }
}

/// The row of SHOW POOLS for so many clients of the console.
pub(crate) fn pool_row(clients: u64) -> PoolRow {
    PoolRow {
        database: NAME.into(),
        user: NAME.into(),
        cl_active: clients,
        cl_waiting: 0,
        cl_active_cancel_req: 0,
        cl_waiting_cancel_req: 0,
        sv_active: 0,
        sv_active_cancel: 0,
        sv_being_canceled: 0,
        sv_idle: 0,
        sv_used: 0,
        sv_tested: 0,
        sv_login: 0,
        maxwait: Duration::ZERO,
        pool_mode: PoolMode::Statement,
        load_balance_hosts: None,
        sv_pinned: 0,
    }
}

/// The row of SHOW DATABASES for so many clients of the console.
pub(crate) fn database_row(listen_port: u16, clients: u64) -> DatabaseRow {
    DatabaseRow {
        name: NAME.into(),
        host: None,
        port: listen_port,
        database: NAME.to_owned(),
        force_user: Some(NAME.to_owned()),
        pool_size: POOL_SIZE,
        min_pool_size: 0,
        reserve_pool_size: 0,
        server_lifetime: Duration::ZERO,
        pool_mode: Some(PoolMode::Statement),
        load_balance_hosts: None,
        max_connections: 0,
        current_connections: 0,
        max_client_connections: 0,
        current_client_connections: clients,
        paused: false,
        disabled: false,
    }
}

/// The console's database, by whichever of its names it was asked for.
const NAME: &str = "pgbouncer";
/// What PgBouncer shows; it means nothing.
const POOL_SIZE: u32 = 2;
