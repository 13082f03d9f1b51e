//! Clients that are logging in, and how long they may take for it.
//!
//! The client janitor looks at them in its round (`duties`): a timer of the runtime's for each would cost more than
//! reading its startup packet does.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use slab::Slab;

/// A worker's logins.
#[derive(Default)]
pub(crate) struct Logins(RefCell<Slab<Login>>);

struct Login {
    /// `None`: it may take as long as it likes.
    until: Option<Instant>,
    overdue: bool,
    waker: Waker,
}

/// The time for it is over.
pub(crate) struct Overdue;

impl Logins {
    /// Carries a login out, as long as there is time.
    ///
    /// # Errors
    /// There is no more.
    pub(crate) async fn limit<T>(
        &self,
        until: Option<Instant>,
        mut login: Pin<&mut impl Future<Output = T>>,
    ) -> Result<T, Overdue> {
        let place = Place::new(self, until);
        std::future::poll_fn(|cx| {
            let overdue = place.is_overdue(cx);
            match login.as_mut().poll(cx) {
                Poll::Pending if overdue => Poll::Ready(Err(Overdue)),
                outcome => outcome.map(Ok),
            }
        })
        .await
    }

    /// Ends those that take too long.
    pub(crate) fn close_overdue(&self, now: Instant) {
        for (_, login) in &mut *self.0.borrow_mut() {
            if !login.overdue && login.until.is_some_and(|until| until <= now) {
                login.overdue = true;
                login.waker.wake_by_ref();
            }
        }
    }

    /// How many there are.
    pub(crate) fn count(&self) -> u64 {
        self.0.borrow().len() as u64
    }
}

/// A login's place among the others, until it is over, however that may be.
struct Place<'a> {
    logins: &'a Logins,
    key: usize,
}

impl<'a> Place<'a> {
    fn new(logins: &'a Logins, until: Option<Instant>) -> Place<'a> {
        let login = Login { until, overdue: false, waker: Waker::noop().clone() };
        Place { logins, key: logins.0.borrow_mut().insert(login) }
    }

    fn is_overdue(&self, cx: &mut Context<'_>) -> bool {
        let mut logins = self.logins.0.borrow_mut();
        let Some(login) = logins.get_mut(self.key) else { return true };
        login.waker.clone_from(cx.waker());
        login.overdue
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.logins.0.borrow_mut().remove(self.key);
    }
}
