//! A client that has been let in, as others know it: SHOW CLIENTS, the janitor, cancel requests, KILL_CLIENT.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::{Instant, SystemTime};

use howdah_core::facts::{Address, ClientState, CloseReason, Counters};
use howdah_core::pool::{ServerId, WorkerId};
use howdah_core::session::Session;
use tokio::sync::oneshot;

use crate::exchange::Hearing;
use crate::shared::Route;

/// What SHOW CLIENTS, the janitor and the console know of a client, and how they reach it.
pub(crate) struct ClientCard {
    pub(crate) id: u64,
    pub(crate) session: RefCell<Session>,
    pub(crate) caller: Caller,
    pub(crate) state: Cell<ClientState>,
    pub(crate) link: Cell<Option<ServerId>>,
    pub(crate) waiting_since: Cell<Option<Instant>>,
    /// Part of a server's message has gone to the client: whatever is said now would be read as its rest.
    pub(crate) mid_reply: Cell<bool>,
    pub(crate) counters: Rc<RefCell<Counters>>,
    /// Its line to the exchange, from its first LISTEN or NOTIFY on.
    pub(crate) hearing: RefCell<Option<Box<Hearing>>>,
    order: Cell<Option<Order>>,
    waker: RefCell<Waker>,
}

/// Who called, from where, and where they lead.
pub(crate) struct Caller {
    pub(crate) route: Arc<Route>,
    pub(crate) peer: Address,
    pub(crate) local: Address,
    pub(crate) connected: SystemTime,
    pub(crate) connected_at: Instant,
    pub(crate) remote_pid: Option<u32>,
    /// The PID in the cancel key it was given.
    pub(crate) cancel_pid: u32,
}

/// A client that has been let in, as it goes to a worker or from one to another.
pub(crate) struct Guest {
    pub(crate) session: Session,
    pub(crate) caller: Caller,
    pub(crate) hearing: Option<Box<Hearing>>,
}

/// What a client's task is told by others.
pub(crate) enum Order {
    /// End.
    Close(CloseReason),
    /// Cancel what it is doing.
    Cancel(oneshot::Sender<()>),
    /// Go to another worker, if it is at rest.
    Move(WorkerId),
}

impl ClientCard {
    pub(crate) fn new(guest: Guest, counters: Rc<RefCell<Counters>>) -> ClientCard {
        ClientCard {
            id: guest.session.id,
            session: RefCell::new(guest.session),
            caller: guest.caller,
            state: Cell::new(ClientState::Idle),
            link: Cell::new(None),
            waiting_since: Cell::new(None),
            mid_reply: Cell::new(false),
            counters,
            hearing: RefCell::new(guest.hearing),
            order: Cell::new(None),
            waker: RefCell::new(Waker::noop().clone()),
        }
    }

    /// Leaves word for the client's task. The graver of two orders stands.
    pub(crate) fn order(&self, order: Order) {
        let kept = match (self.order.take(), order) {
            (Some(close @ Order::Close(_)), _) => close,
            (Some(cancel @ Order::Cancel(_)), Order::Move(_)) => cancel,
            (_, order) => order,
        };
        self.order.set(Some(kept));
        self.wake();
    }

    /// The client leaves this worker.
    pub(crate) fn into_guest(self) -> Guest {
        Guest { session: self.session.into_inner(), caller: self.caller, hearing: self.hearing.into_inner() }
    }

    #[inline]
    pub(crate) fn take_order(&self) -> Option<Order> {
        self.order.take()
    }

    /// The calling task serves this client from now on. A task keeps its waker for life.
    pub(crate) async fn adopt_task(&self) {
        std::future::poll_fn(|cx| {
            self.waker.borrow_mut().clone_from(cx.waker());
            if let Some(hearing) = &*self.hearing.borrow() {
                hearing.adopt(cx.waker());
            }
            Poll::Ready(())
        })
        .await;
    }

    pub(crate) fn with_waker<T>(&self, use_it: impl FnOnce(&Waker) -> T) -> T {
        use_it(&self.waker.borrow())
    }

    pub(crate) fn waker(&self) -> Waker {
        self.waker.borrow().clone()
    }

    pub(crate) fn wake(&self) {
        self.waker.borrow().wake_by_ref();
    }
}
