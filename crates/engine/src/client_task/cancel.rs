//! A cancel request on its way to a server.
//!
//! PostgreSQL closes the connection of a cancel request after the signal has been sent. Until then nobody may
//! be given the server connection it is meant for, nor may its own client go on to the next query there.

use std::cell::Cell;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

use howdah_core::facts::CloseReason;
use howdah_core::pool::ServerId;
use howdah_wire::CancelKey;
use howdah_wire::startup::write_cancel_request;
use tokio::sync::oneshot;

use crate::conn::Conn;
use crate::net::Endpoint;
use crate::server_conn::ServerConn;
use crate::worker::Worker;

/// A cancel request under way, as the holder of the server connection sees it.
pub(crate) struct CancelJob {
    state: Cell<State>,
    waker: Waker,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Connecting: it could still be called off.
    Connecting,
    /// What it was meant for has ended before it was sent.
    CalledOff,
    /// Sent, and not known to have arrived.
    Sent,
    /// Arrived, or never sent.
    Over,
    /// Sent, and no word whether it has arrived.
    InDoubt,
}

impl CancelJob {
    /// Something may still happen to the server connection.
    pub(crate) fn is_running(&self) -> bool {
        matches!(self.state.get(), State::Connecting | State::CalledOff | State::Sent)
    }

    /// The request may arrive at any time: the server connection cannot be used any more.
    pub(crate) fn is_in_doubt(&self) -> bool {
        self.state.get() == State::InDoubt
    }

    /// What was to be cancelled has ended by itself.
    pub(crate) fn call_off(&self) {
        if self.state.get() == State::Connecting {
            self.state.set(State::CalledOff);
        }
    }

    /// Waits for the end; the task is woken by the job's waker.
    pub(crate) fn poll_over(&self) -> Poll<()> {
        if self.is_running() { Poll::Pending } else { Poll::Ready(()) }
    }

    fn set(&self, state: State) {
        self.state.set(state);
        self.waker.wake_by_ref();
    }
}

/// Sends a cancel request for what runs on this server connection. `waker` is woken when it has arrived,
/// `done` told when there is nothing more to wait for.
pub(crate) fn start(
    worker: &Rc<Worker>,
    server: &ServerConn,
    waker: Waker,
    done: Option<oneshot::Sender<()>>,
) -> Rc<CancelJob> {
    let job = Rc::new(CancelJob { state: Cell::new(State::Connecting), waker });
    let Some(key) = server.server.cancel_key.clone() else {
        // A server without cancel keys cannot be asked.
        job.set(State::Over);
        return job;
    };
    worker.shared.pools.lock().pools.cancel_started(server.id);
    let endpoint = server.card.endpoint.clone();
    tokio::task::spawn_local(run(Rc::clone(worker), Rc::clone(&job), server.id, endpoint, key, done));
    job
}

async fn run(
    worker: Rc<Worker>,
    job: Rc<CancelJob>,
    server: ServerId,
    endpoint: Endpoint,
    key: CancelKey,
    done: Option<oneshot::Sender<()>>,
) {
    let limit = worker.settings().timeouts.cancel_wait.unwrap_or(LONGEST);
    let arrived = tokio::time::timeout(limit, deliver(&worker, &job, &endpoint, &key)).await;
    let delivered = matches!(arrived, Ok(Ok(())));
    if job.state.get() == State::Sent && !delivered {
        tracing::warn!(server = server.0, reason = %CloseReason::ServerUncleanable, "cancel request lost");
        job.set(State::InDoubt);
        worker.run(worker.shared.pools.condemn(server, worker.now()));
    } else {
        job.set(State::Over);
    }
    worker.run(worker.shared.pools.with(|pools, fx| pools.cancel_ended(server, worker.now(), fx)));
    if let Some(done) = done {
        // The asker may have given up waiting.
        let _ = done.send(());
    }
}

/// Returns when the server has closed the connection, which it does after sending the signal.
async fn deliver(
    worker: &Worker,
    job: &CancelJob,
    endpoint: &Endpoint,
    key: &CancelKey,
) -> std::io::Result<()> {
    let mut conn = Conn::new(worker.shared.net.connect(endpoint).await?);
    if job.state.get() == State::CalledOff {
        return Ok(());
    }
    let mut request = Vec::new();
    write_cancel_request(&mut request, key);
    job.state.set(State::Sent);
    conn.send(&worker.outbox, &request)?;
    conn.flush().await?;
    loop {
        let read = std::future::poll_fn(|cx| {
            conn.poll_fill(cx, &mut worker.scratch.borrow_mut().buffer, MAX_ANSWER)
        })
        .await;
        match read {
            Ok(0) => return Ok(()),
            // PostgreSQL answers nothing; whatever comes is read away, within bounds.
            Ok(_) => conn.consume(usize::MAX),
            // It closes with the request's end unread: a reset is as good as an end of file.
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

/// Where `cancel_wait_timeout` is switched off.
const LONGEST: Duration = Duration::from_secs(60);
const MAX_ANSWER: usize = 1024;
