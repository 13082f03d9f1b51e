//! Who listens to what in one database, shared by all workers: `core::listen` behind a mutex, with the wakers of
//! those it speaks of.
//!
//! The lock is held for the time of a decision and never across an await. The pools may be locked while it is
//! held, never the other way round.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::Instant;

use howdah_core::listen::{Broken, Channel, Effect, Next, Overflow, Round, Switchboard};
use rustc_hash::FxHashMap;

/// The exchange of one database.
pub(crate) struct Exchange {
    inner: Mutex<Inner>,
}

struct Inner {
    board: Switchboard,
    ears: FxHashMap<u64, Arc<Ear>>,
    /// Some worker has a task for the listener connection.
    attended: bool,
    /// That task has something to do.
    called: bool,
    attendant: Waker,
    effects: Vec<Effect>,
}

/// How a client's task learns that there is something for it.
struct Ear {
    waker: Mutex<Waker>,
    news: AtomicBool,
}

/// A client's line to the exchange, from its first LISTEN or NOTIFY on; dropped, the client listens no more.
pub(crate) struct Hearing {
    exchange: Arc<Exchange>,
    client: u64,
    ear: Arc<Ear>,
    stage: Cell<Stage>,
}

/// How far the exchange is with the end of a client's transaction.
#[derive(Clone, Copy)]
enum Stage {
    /// Which channels it has now is to be told.
    Settle,
    /// Those have to be listened to.
    Channels,
    /// What was sent before has to arrive.
    Round(Round),
}

/// Somebody has to look after the listener connection: [`attend`](crate::listener::attend).
#[must_use]
pub(crate) struct NeedsAttendant(pub(crate) bool);

impl Exchange {
    pub(crate) fn new() -> Exchange {
        Exchange {
            inner: Mutex::new(Inner {
                board: Switchboard::default(),
                ears: FxHashMap::default(),
                attended: false,
                called: false,
                attendant: Waker::noop().clone(),
                effects: Vec::new(),
            }),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// For the task that looks after the listener connection.
impl Exchange {
    /// What is to be done next. After [`Next::Rest`] nobody attends any more.
    pub(crate) fn next(&self, now: Instant, out: &mut Vec<u8>) -> Next {
        let mut inner = self.lock();
        inner.called = false;
        let next = inner.board.next(now, out);
        inner.attended = next != Next::Rest;
        next
    }

    /// Ready when there is something to do.
    pub(crate) fn poll_called(&self, waker: &Waker) -> Poll<()> {
        let mut inner = self.lock();
        inner.attendant.clone_from(waker);
        if inner.called { Poll::Ready(()) } else { Poll::Pending }
    }

    pub(crate) fn opened(&self) {
        self.lock().board.opened();
    }

    pub(crate) fn not_opened(&self, reason: &str, now: Instant) {
        self.lock().act(|board, fx| board.not_opened(reason, now, fx));
    }

    pub(crate) fn lost(&self, reason: &str, now: Instant) {
        self.lock().act(|board, fx| board.lost(reason, now, fx));
    }

    pub(crate) fn renew(&self, reason: &str) {
        self.lock().act(|board, fx| board.renew(reason, fx));
    }

    pub(crate) fn read(&self, input: &[u8], sender: impl FnMut(u32) -> u32) -> Result<usize, Broken> {
        self.lock().act(|board, fx| board.read(input, sender, fx))
    }
}

impl Inner {
    fn act<T>(&mut self, act: impl FnOnce(&mut Switchboard, &mut Vec<Effect>) -> T) -> T {
        let mut effects = std::mem::take(&mut self.effects);
        let done = act(&mut self.board, &mut effects);
        for effect in effects.drain(..) {
            match effect {
                Effect::Wake(client) => {
                    if let Some(ear) = self.ears.get(&client) {
                        ear.news.store(true, Ordering::Release);
                        ear.waker.lock().unwrap_or_else(PoisonError::into_inner).wake_by_ref();
                    }
                }
                Effect::Attend => {
                    self.called = true;
                    self.attendant.wake_by_ref();
                }
            }
        }
        self.effects = effects;
        done
    }

    /// Whether somebody has to begin to attend; whoever asks sees to it.
    fn needs_attendant(&mut self) -> NeedsAttendant {
        let needs = !self.attended && !self.board.is_idle();
        self.attended |= needs;
        NeedsAttendant(needs)
    }
}

impl Hearing {
    /// A line for this client, whose task is woken when there is something for it.
    pub(crate) fn new(exchange: &Arc<Exchange>, client: u64, waker: &Waker) -> Hearing {
        let ear = Arc::new(Ear { waker: Mutex::new(waker.clone()), news: AtomicBool::new(false) });
        exchange.lock().ears.insert(client, Arc::clone(&ear));
        Hearing { exchange: Arc::clone(exchange), client, ear, stage: Cell::new(Stage::Settle) }
    }

    /// Another task serves the client from now on.
    pub(crate) fn adopt(&self, waker: &Waker) {
        self.ear.waker.lock().unwrap_or_else(PoisonError::into_inner).clone_from(waker);
    }

    /// The client's message says LISTEN to these. Ready when it may go on. `alone`: it is in no block.
    pub(crate) fn poll_heard(&self, channels: &BTreeSet<Channel>, alone: bool) -> (Poll<()>, NeedsAttendant) {
        let mut inner = self.exchange.lock();
        for channel in channels {
            inner.act(|board, fx| board.expect(self.client, channel, alone, fx));
        }
        let heard = if inner.board.is_heard(self.client) { Poll::Ready(()) } else { Poll::Pending };
        (heard, inner.needs_attendant())
    }

    /// The client's transaction is about to be told to end.
    pub(crate) fn ends(&self) {
        self.exchange.lock().board.commits(self.client);
    }

    /// The client, whose number is `sender`, has sent this to itself, and only its server connection has heard it.
    pub(crate) fn overheard(&self, sender: u32, channel: &Channel, payload: &[u8]) {
        self.exchange.lock().board.overheard(self.client, sender, channel, payload);
    }

    /// The client's transaction has ended, and this is what it listens to. Ready when it may be told so, after
    /// what waits for it.
    pub(crate) fn poll_settled<'a>(
        &self,
        channels: impl IntoIterator<Item = &'a Channel>,
    ) -> (Poll<()>, NeedsAttendant) {
        let mut inner = self.exchange.lock();
        if let Stage::Settle = self.stage.get() {
            inner.act(|board, fx| board.settle(self.client, channels, fx));
            self.stage.set(Stage::Channels);
        }
        let needs = inner.needs_attendant();
        if let Stage::Channels = self.stage.get() {
            if !inner.board.is_heard(self.client) {
                return (Poll::Pending, needs);
            }
            if let Some(round) = inner.act(|board, fx| board.begin_round(self.client, fx)) {
                self.stage.set(Stage::Round(round));
            }
        }
        if let Stage::Round(round) = self.stage.get()
            && !inner.board.is_over(round)
        {
            return (Poll::Pending, needs);
        }
        self.stage.set(Stage::Settle);
        (Poll::Ready(()), needs)
    }

    /// Something may have come for the client.
    #[inline]
    pub(crate) fn has_news(&self) -> bool {
        self.ear.news.load(Ordering::Acquire)
    }

    /// Appends what has come, in portions; empty-handed, there is no more. Returns how many messages it was.
    ///
    /// # Errors
    /// The client has left too much waiting.
    pub(crate) fn take(&self, out: &mut Vec<u8>) -> Result<u64, Overflow> {
        let mut inner = self.exchange.lock();
        self.ear.news.store(false, Ordering::Release);
        let taken = inner.board.take(self.client, out)?;
        if inner.board.has_news(self.client) && taken > 0 {
            self.ear.news.store(true, Ordering::Release);
        }
        Ok(taken)
    }
}

impl Drop for Hearing {
    fn drop(&mut self) {
        let mut inner = self.exchange.lock();
        inner.ears.remove(&self.client);
        inner.act(|board, fx| board.leave(self.client, fx));
    }
}
