//! A running Howdah: its threads, from start to stop.

use std::future::Future;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;

use arc_swap::ArcSwap;
use howdah_core::control::ConsoleDoor;
use howdah_core::pool::WorkerId;
use howdah_core::settings::{IoEngine, Settings};
use thiserror::Error;
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::{Notify, mpsc};

use crate::acceptor::{Doors, ListenError};
use crate::balance;
use crate::configuration::Configuration;
use crate::control::{self, Control, Job};
use crate::duties;
use crate::net::RealNet;
use crate::shared::{Parts, Shared, WorkerDoor};
use crate::uring::Ring;
use crate::worker::{Message, Worker};

/// A running Howdah.
pub struct Howdah {
    control: Control,
    listening: Vec<String>,
    threads: Vec<JoinHandle<()>>,
}

/// Why Howdah could not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// A door cannot be opened.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The system has no threads or descriptors left.
    #[error("cannot start a thread: {0}")]
    Thread(#[from] io::Error),
}

impl Howdah {
    /// Opens the doors and starts to serve.
    ///
    /// # Errors
    /// A door cannot be opened, or the system is short of something.
    pub fn start(
        settings: Settings,
        configuration: Arc<dyn Configuration>,
        console: Arc<dyn ConsoleDoor>,
    ) -> Result<Howdah, StartError> {
        let doors = Doors::open(&settings.listen)?;
        let listening = doors.names.clone();
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let workers = settings.listen.workers.unwrap_or(cores).clamp(1, MOST_WORKERS);
        let settings = Arc::new(ArcSwap::from_pointee(settings));
        let shared = Arc::new(Shared::new(Parts {
            net: Box::new(RealNet::new(Arc::clone(&settings))),
            settings,
            console,
            configuration,
            random: Box::new(|bytes| getrandom::fill(bytes).expect("the kernel has random numbers")),
            workers,
            now: std::time::Instant::now(),
        }));
        let (jobs, job_list) = mpsc::unbounded_channel();
        let mut threads = Vec::new();
        let mut worker_doors = Vec::new();
        for number in 0..workers {
            let (mailbox, messages) = mpsc::unbounded_channel();
            worker_doors.push(WorkerDoor::new(mailbox));
            let shared = Arc::clone(&shared);
            let id = WorkerId(u16::try_from(number).expect("MOST_WORKERS fits"));
            let thread = std::thread::Builder::new().name(format!("worker-{number}"));
            threads.push(thread.spawn(move || run_worker(id, shared, messages))?);
        }
        // Both cells are empty: this is the only place that fills them.
        let _ = shared.workers.set(worker_doors);
        let _ = shared.control.set(jobs);
        shared.open_forced_pools();
        // The first worker is the one that is busy first: most clients will be its own.
        if let Some(door) = shared.door(WorkerId(0)) {
            // It has just been started, and its mailbox is open.
            let _ = door.mailbox.send(Message::OpenDoors(doors));
        }
        let control = Control::of(&shared);
        let thread = std::thread::Builder::new().name("control".to_owned());
        threads.push(thread.spawn(move || run_control(shared, job_list))?);
        Ok(Howdah { control, listening, threads })
    }

    /// Where clients are expected: addresses with ports, and socket files.
    #[must_use]
    pub fn listening(&self) -> &[String] {
        &self.listening
    }

    /// For asking and telling it things.
    #[must_use]
    pub fn control(&self) -> Control {
        self.control.clone()
    }

    /// Waits until it has stopped, which [`Request::Shutdown`](howdah_core::control::Request::Shutdown) makes it do.
    pub fn join(self) {
        for thread in self.threads {
            if thread.join().is_err() {
                tracing::error!("a thread ended in a panic");
            }
        }
    }
}

fn run_worker(id: WorkerId, shared: Arc<Shared>, messages: mpsc::UnboundedReceiver<Message>) {
    block_on(async move {
        let ring = ring(&shared);
        let worker = Worker::new(id, shared, ring);
        duties::begin_for(&worker);
        tokio::task::spawn_local(balance::measure(Rc::clone(&worker)));
        worker.serve_mailbox(messages).await;
    });
}

fn run_control(shared: Arc<Shared>, jobs: mpsc::UnboundedReceiver<Job>) {
    block_on(async move {
        let ending = Rc::new(Notify::new());
        duties::begin_common(&shared);
        tokio::task::spawn_local(balance::relieve_workers(Arc::clone(&shared)));
        tokio::task::spawn_local(control::serve(Arc::clone(&shared), jobs, Rc::clone(&ending)));
        ending.notified().await;
        shared.stopping.store(true, Ordering::Relaxed);
        shared.tell_all(|| Message::Stop);
    });
}

/// The worker's ring, if there is to be one and may be.
fn ring(shared: &Shared) -> Option<Ring> {
    let wanted = shared.settings.load().listen.io_engine;
    let (ring, reason) = match wanted {
        IoEngine::Plain => (None, "io_engine = plain".to_owned()),
        IoEngine::Auto | IoEngine::Uring => match Ring::new() {
            Ok(ring) => (
                Some(ring),
                format!("io_engine = {}", if wanted == IoEngine::Auto { "auto" } else { "uring" }),
            ),
            Err(error) => (None, format!("io_uring is not to be had: {error}")),
        },
    };
    let chosen = if ring.is_some() { "uring" } else { "plain" };
    if shared.io_engine.set(chosen).is_ok() {
        if ring.is_none() && wanted == IoEngine::Uring {
            tracing::warn!(chosen, reason, "sends");
        } else {
            tracing::info!(chosen, reason, "sends");
        }
    }
    ring
}

/// A runtime cannot be handed from thread to thread, so each thread makes its own.
fn block_on(work: impl Future<Output = ()>) {
    match Builder::new_current_thread().enable_all().build_local(LocalOptions::default()) {
        Ok(runtime) => runtime.block_on(work),
        Err(error) => tracing::error!(%error, "cannot make a runtime for a thread"),
    }
}

const MOST_WORKERS: usize = 1024;
