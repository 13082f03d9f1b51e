//! What the clients saw, all of them together. They live on one thread.

use std::cell::{Cell, Ref, RefCell};
use std::time::Duration;

use super::histogram::Histogram;

/// Sums since the start.
#[derive(Default)]
pub(crate) struct Tally {
    connected: Cell<u32>,
    done: Cell<u64>,
    failed: Cell<u64>,
    first_error: RefCell<Option<String>>,
    latency: RefCell<Histogram>,
}

impl Tally {
    pub(crate) fn came(&self) {
        self.connected.set(self.connected.get() + 1);
    }

    pub(crate) fn left(&self) {
        self.connected.set(self.connected.get() - 1);
    }

    /// A transaction was committed, `latency` after its BEGIN was sent.
    pub(crate) fn done(&self, latency: Duration) {
        self.done.set(self.done.get() + 1);
        self.latency.borrow_mut().add(latency);
    }

    /// A transaction, or a login, failed.
    pub(crate) fn failed(&self, error: &tokio_postgres::Error) {
        self.failed.set(self.failed.get() + 1);
        self.first_error.borrow_mut().get_or_insert_with(|| describe(error));
    }

    pub(crate) fn connected_now(&self) -> u32 {
        self.connected.get()
    }

    pub(crate) fn total_done(&self) -> u64 {
        self.done.get()
    }

    pub(crate) fn total_failed(&self) -> u64 {
        self.failed.get()
    }

    pub(crate) fn first_error(&self) -> Option<String> {
        self.first_error.borrow().clone()
    }

    pub(crate) fn latency(&self) -> Ref<'_, Histogram> {
        self.latency.borrow()
    }
}

/// The driver's own text says no more than "db error".
fn describe(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(error) => format!("{}: {} ({})", error.severity(), error.message(), error.code().code()),
        None => format!("{:#}", anyhow::Error::msg(chain(error))),
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    std::iter::successors(Some(error), |error| error.source())
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}
