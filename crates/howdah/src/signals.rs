//! What do signals mean? PgBouncer's: HUP, TERM, INT, QUIT, USR1, USR2, each a [`Request`] to the engine.
//!
//! Lives on the main thread. A request that takes long (PAUSE waits for transactions) holds nothing up: the next
//! signal is obeyed meanwhile.

use std::io;

use howdah_core::control::{Outcome, Request, Shutdown};
use howdah_engine::{Control, Howdah};
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::LocalSet;

/// The signals of this process, caught from the moment this exists.
pub(crate) struct Signals {
    runtime: Runtime,
    streams: Streams,
}

impl Signals {
    /// Catches them; until they are obeyed they wait.
    pub(crate) fn catch() -> io::Result<Signals> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let entered = runtime.enter();
        let streams = Streams::catch()?;
        drop(entered);
        Ok(Signals { runtime, streams })
    }

    /// Obeys them until Howdah has stopped.
    pub(crate) fn obey(self, howdah: Howdah) -> io::Result<()> {
        let control = howdah.control();
        let (stopped, mut has_stopped) = tokio::sync::oneshot::channel();
        let waiting = std::thread::Builder::new().name("howdah-end".to_owned()).spawn(move || {
            howdah.join();
            // Nobody listens when this thread's panic is the news.
            let _: Result<(), ()> = stopped.send(());
        })?;
        let Signals { runtime, mut streams } = self;
        LocalSet::new().block_on(&runtime, async {
            let mut stopping = false;
            loop {
                let order = tokio::select! {
                    _ = &mut has_stopped => break,
                    order = streams.next(stopping) => order,
                };
                stopping |= matches!(order.request, Request::Shutdown(_));
                tracing::info!("{}: {}", order.signal, order.meaning);
                tokio::task::spawn_local(carry_out(control.clone(), order));
            }
        });
        waiting.join().map_err(|_| io::Error::other("the thread that waits for the workers panicked"))
    }
}

struct Streams {
    hup: Signal,
    term: Signal,
    int: Signal,
    quit: Signal,
    usr1: Signal,
    usr2: Signal,
}

impl Streams {
    fn catch() -> io::Result<Streams> {
        Ok(Streams {
            hup: signal(SignalKind::hangup())?,
            term: signal(SignalKind::terminate())?,
            int: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
            usr1: signal(SignalKind::user_defined1())?,
            usr2: signal(SignalKind::user_defined2())?,
        })
    }

    /// The next order. `stopping`: who is asked to stop once more stops at once.
    async fn next(&mut self, stopping: bool) -> Order {
        let stop = |signal, how, meaning| match stopping {
            true => Order {
                signal,
                request: Request::Shutdown(Shutdown::Immediate),
                meaning: "once more: stopping now",
            },
            false => Order { signal, request: Request::Shutdown(how), meaning },
        };
        tokio::select! {
            _ = self.hup.recv() => Order { signal: "SIGHUP", request: Request::Reload, meaning: "reading the configuration again" },
            _ = self.term.recv() => stop("SIGTERM", Shutdown::WaitForClients, "stopping when the last client has left"),
            _ = self.int.recv() => stop("SIGINT", Shutdown::WaitForServers, "stopping when no server connection is in use"),
            _ = self.quit.recv() => Order { signal: "SIGQUIT", request: Request::Shutdown(Shutdown::Immediate), meaning: "stopping now" },
            _ = self.usr1.recv() => Order { signal: "SIGUSR1", request: Request::Pause(None), meaning: "PAUSE" },
            _ = self.usr2.recv() => Order { signal: "SIGUSR2", request: Request::Resume(None), meaning: "RESUME" },
        }
    }
}

struct Order {
    signal: &'static str,
    request: Request,
    meaning: &'static str,
}

async fn carry_out(control: Control, order: Order) {
    match control.run(order.request).await {
        Outcome::Failed(why) => tracing::error!("{} ({}) failed: {why}", order.signal, order.meaning),
        _ => tracing::info!("{} done", order.signal),
    }
}
