//! `howdah demo`: what does pooling look like?
//!
//! [`stage`]: a PostgreSQL of one's own and a Howdah before it. [`client`]: many clients with think time. [`tally`]
//! and [`histogram`]: what they saw. [`view`]: what a moment looks like in numbers; [`panel`]: drawn on a terminal,
//! redrawn in place by [`screen`]; [`report`]: as lines. When it ends, however it ends, nothing is left behind.

mod client;
mod histogram;
mod panel;
mod report;
mod screen;
mod stage;
mod tally;
mod view;

use std::io::{self, IsTerminal, Write};
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, anyhow, ensure};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::task::{JoinSet, LocalSet};
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until, timeout};

use crate::cli::DemoOptions;
use crate::failure::Failure;
use crate::limits;

use screen::Screen;
use stage::Stage;
use tally::Tally;
use view::{Observer, View};

/// Shows it until Ctrl-C, or for as long as was asked.
///
/// # Errors
/// There is no PostgreSQL here, Howdah does not start, or a transaction failed.
pub(crate) fn run(options: &DemoOptions) -> Result<(), Failure> {
    check_open_files(options)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    // Caught before PostgreSQL starts, so that Ctrl-C in between leaves nothing behind either.
    let ending = {
        let _entered = runtime.enter();
        Ending::catch().context("cannot catch signals")?
    };
    let mut out = io::stdout();
    writeln!(out, "Starting a PostgreSQL of its own and a Howdah before it …")?;
    let stage = runtime.block_on(Stage::set(options))?;
    let shown = LocalSet::new().block_on(&runtime, show(&stage, options, ending));
    stage.clear();
    let last = shown?;
    for line in report::summary(&last) {
        writeln!(out, "{line}")?;
    }
    match last.first_error {
        Some(error) => Err(anyhow!("{} transactions failed, the first one: {error}", last.failed).into()),
        None => Ok(()),
    }
}

/// Lets the clients live, and shows it; what it looked like at the end.
async fn show(stage: &Stage, options: &DemoOptions, mut ending: Ending) -> anyhow::Result<View> {
    let tally = Rc::new(Tally::default());
    let (stop, stopped) = watch::channel(false);
    let mut clients = JoinSet::new();
    for id in 1..=options.clients {
        clients.spawn_local(client::live(stage.for_clients(), id, Rc::clone(&tally), stopped.clone()));
    }
    let mut observer = Observer::new(stage, options, Rc::clone(&tally)).await?;
    let mut display = Display::choose(stage, options);
    let mut tick = interval_at(Instant::now() + display.period(), display.period());
    tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let end = options.seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    loop {
        tokio::select! {
            biased;
            () = ending.asked_for(end) => break,
            _ = tick.tick() => display.show(&observer.look().await)?,
        }
    }
    let last = observer.look().await;
    display.show(&last)?;
    drop(display);
    stop.send_replace(true);
    let all_gone = async { while clients.join_next().await.is_some() {} };
    // Clients that are held by a PAUSE would never end by themselves.
    let _ = timeout(LAST_TRANSACTIONS, all_gone).await;
    clients.shutdown().await;
    Ok(observer.final_sums(last))
}

/// Both ends of each client's connection are in this process.
fn check_open_files(options: &DemoOptions) -> anyhow::Result<()> {
    let needed = 2 * u64::from(options.clients) + u64::from(options.servers) + 64;
    if let Some(allowed) = limits::raise() {
        ensure!(
            needed <= allowed,
            "{} clients need {needed} open files, {allowed} are allowed; see `ulimit -n`",
            options.clients
        );
    }
    Ok(())
}

/// What ends the demo early.
struct Ending {
    int: Signal,
    term: Signal,
    hup: Signal,
}

impl Ending {
    fn catch() -> io::Result<Ending> {
        Ok(Ending {
            int: signal(SignalKind::interrupt())?,
            term: signal(SignalKind::terminate())?,
            hup: signal(SignalKind::hangup())?,
        })
    }

    async fn asked_for(&mut self, end: Option<Instant>) {
        let time_is_up = async {
            match end {
                Some(end) => sleep_until(end).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.int.recv() => {}
            _ = self.term.recv() => {}
            _ = self.hup.recv() => {}
            () = time_is_up => {}
        }
    }
}

/// A panel on a terminal, lines elsewhere.
enum Display {
    Panel { screen: Screen, explanation: panel::Explanation },
    Lines,
}

impl Display {
    fn choose(stage: &Stage, options: &DemoOptions) -> Display {
        match io::stdout().is_terminal() {
            true => Display::Panel {
                screen: Screen::new(),
                explanation: panel::Explanation { port: stage.port(), endless: options.seconds.is_none() },
            },
            false => Display::Lines,
        }
    }

    fn period(&self) -> Duration {
        match self {
            Display::Panel { .. } => Duration::from_millis(250),
            Display::Lines => Duration::from_secs(1),
        }
    }

    fn show(&mut self, view: &View) -> io::Result<()> {
        match self {
            Display::Panel { screen, explanation } => screen.draw(&panel::lines(view, explanation)),
            Display::Lines => writeln!(io::stdout(), "{}", report::line(view)),
        }
    }
}

/// How long clients have for the transaction they are in when the demo ends.
const LAST_TRANSACTIONS: Duration = Duration::from_secs(5);
