//! The operator's requests, carried out.
//!
//! They run on the control plane's own thread: a PAUSE that waits, or a reload that reads files, holds up
//! nobody's query.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use howdah_core::control::{Outcome, Request, Shutdown};
use howdah_core::facts::{CloseReason, Counters, Snapshot};
use howdah_core::pool::Pools;
use tokio::sync::{Notify, mpsc, oneshot, watch};

use crate::shared::Shared;
use crate::snapshot::{WorkerReport, assemble};
use crate::statistics;
use crate::worker::{Message, Which};

/// A request and where its outcome goes.
pub(crate) type Job = (Request, oneshot::Sender<Outcome>);

/// How a running Howdah is asked and told things.
#[derive(Clone)]
pub struct Control {
    jobs: mpsc::UnboundedSender<Job>,
    closing: watch::Receiver<bool>,
}

impl Control {
    pub(crate) fn of(shared: &Shared) -> Control {
        let jobs = shared.control.get().cloned().unwrap_or_else(|| mpsc::unbounded_channel().0);
        Control { jobs, closing: shared.watch_closing() }
    }

    /// Waits until nobody is let in any more: Howdah stops, or will when its last client has left.
    pub async fn closing(&mut self) {
        // An error means that it has stopped already.
        let _ = self.closing.wait_for(|closing| *closing).await;
    }

    /// Has a request carried out. PAUSE and WAIT_CLOSE are answered when they are complete.
    pub async fn run(&self, request: Request) -> Outcome {
        let (reply, outcome) = oneshot::channel();
        let stopped = || Outcome::Failed("Howdah has stopped".to_owned());
        if self.jobs.send((request, reply)).is_err() {
            return stopped();
        }
        outcome.await.unwrap_or_else(|_| stopped())
    }

    /// The same from a thread that may wait. Not for use inside an async runtime.
    #[must_use]
    pub fn run_blocking(&self, request: Request) -> Outcome {
        let (reply, outcome) = oneshot::channel();
        let stopped = || Outcome::Failed("Howdah has stopped".to_owned());
        if self.jobs.send((request, reply)).is_err() {
            return stopped();
        }
        outcome.blocking_recv().unwrap_or_else(|_| stopped())
    }
}

/// The control plane's side: takes jobs until Howdah stops, which `ending` is told of.
pub(crate) async fn serve(shared: Arc<Shared>, mut jobs: mpsc::UnboundedReceiver<Job>, ending: Rc<Notify>) {
    while let Some((request, reply)) = jobs.recv().await {
        let (shared, ending) = (Arc::clone(&shared), Rc::clone(&ending));
        tokio::task::spawn_local(async move {
            let outcome = carry_out(&shared, request, &ending).await.unwrap_or_else(Outcome::Failed);
            // Whoever asked may have gone.
            let _ = reply.send(outcome);
        });
    }
}

async fn carry_out(shared: &Arc<Shared>, request: Request, ending: &Rc<Notify>) -> Result<Outcome, String> {
    match request {
        Request::Snapshot => return Ok(Outcome::Snapshot(Box::new(snapshot(shared).await))),
        Request::ShowConfig => {
            return Ok(Outcome::Config(shared.configuration.show(&shared.settings.load())));
        }
        Request::Set { key, value } => set(shared, &key, &value)?,
        Request::Reload => reload(shared).await?,
        Request::Pause(database) => pause(shared, database.as_deref()).await?,
        Request::Resume(database) => resume(shared, database.as_deref())?,
        Request::Disable(database) => {
            known(shared, Some(&database))?;
            shared.pools.lock().pools.disable(&database);
        }
        Request::Enable(database) => {
            known(shared, Some(&database))?;
            shared.pools.lock().pools.enable(&database);
        }
        Request::Reconnect(database) => {
            known(shared, database.as_deref())?;
            with_pools(shared, |pools, now, fx| pools.reconnect(database.as_deref(), now, fx));
        }
        Request::Kill(database) => {
            known(shared, database.as_deref())?;
            with_pools(shared, |pools, now, fx| pools.kill(database.as_deref(), now, fx));
            let which = database.map_or(Which::All, Which::Database);
            close_clients(shared, &which, CloseReason::Admin).await;
        }
        Request::KillClient(id) => {
            if close_clients(shared, &Which::One(id), CloseReason::Admin).await == 0 {
                return Err("client not found".to_owned());
            }
        }
        Request::WaitClose(database) => {
            known(shared, database.as_deref())?;
            wait_until(|| shared.pools.lock().pools.obsolete_open(database.as_deref()) == 0).await;
        }
        Request::Shutdown(how) => {
            tokio::task::spawn_local(shut_down(Arc::clone(shared), how, Rc::clone(ending)));
        }
    }
    Ok(Outcome::Done)
}

async fn snapshot(shared: &Shared) -> Snapshot {
    let reports = reports(shared).await;
    let period = shared.period.lock().unwrap_or_else(PoisonError::into_inner);
    assemble(shared, reports, &period)
}

async fn reports(shared: &Shared) -> Vec<WorkerReport> {
    let mut waiting = Vec::new();
    for door in shared.workers.get().into_iter().flatten() {
        let (reply, report) = oneshot::channel();
        if door.mailbox.send(Message::Report(reply)).is_ok() {
            waiting.push(report);
        }
    }
    let mut reports = Vec::new();
    for report in waiting {
        reports.extend(report.await);
    }
    reports
}

/// The end of a `stats_period`: averages are taken anew, and logged if asked for.
pub(crate) async fn turn_period(shared: &Shared) {
    let mut totals: BTreeMap<Arc<str>, Counters> = BTreeMap::new();
    let of_workers = reports(shared).await.into_iter().flat_map(|report| report.counters);
    let now = tokio::time::Instant::now().into_std();
    for (database, counters) in of_workers.chain(statistics::of_pins(&statistics::pins(shared, now))) {
        *totals.entry(database).or_default() += counters;
    }
    let mut period = shared.period.lock().unwrap_or_else(PoisonError::into_inner);
    period.turn(totals, now);
    if shared.settings.load().log.stats {
        let (sum, seconds) = (period.sum(), period.length().as_secs_f64().max(1e-3));
        let rate = |count: u64| format!("{:.1}/s", count as f64 / seconds);
        let mean = |time: u64, count: u64| format!("{} us", time / count.max(1));
        tracing::info!(
            transactions = rate(sum.transactions),
            queries = rate(sum.queries),
            received = rate(sum.received),
            sent = rate(sum.sent),
            transaction_time = mean(sum.transaction_time, sum.transactions),
            query_time = mean(sum.query_time, sum.queries),
            wait_time = mean(sum.wait_time, sum.server_assignments),
            "stats"
        );
    }
}

fn set(shared: &Shared, key: &str, value: &str) -> Result<(), String> {
    let mut settings = (**shared.settings.load()).clone();
    shared.configuration.set(&mut settings, key, value)?;
    put_in_force(shared, settings);
    Ok(())
}

async fn reload(shared: &Arc<Shared>) -> Result<(), String> {
    let configuration = Arc::clone(&shared.configuration);
    let loaded = tokio::task::spawn_blocking(move || configuration.load()).await;
    let mut settings = loaded.map_err(|error| error.to_string())??;
    let old = shared.settings.load_full();
    for name in shared.configuration.needs_restart(&old, &settings) {
        tracing::warn!(setting = name, "changed in the file, takes effect with a restart");
    }
    settings.listen = old.listen.clone();
    settings.auth.track_extra_parameters.clone_from(&old.auth.track_extra_parameters);
    let moved: Vec<String> = old
        .databases
        .iter()
        .filter(|(name, entry)| settings.databases.get(*name) != Some(entry))
        .map(|(name, _)| name.clone())
        .collect();
    let any_moved = old.any_database != settings.any_database;
    put_in_force(shared, settings);
    with_pools(shared, |pools, now, fx| {
        if any_moved {
            pools.reconnect(None, now, fx);
        }
        for database in &moved {
            pools.reconnect(Some(database), now, fx);
        }
    });
    tracing::info!("configuration reloaded");
    Ok(())
}

fn put_in_force(shared: &Shared, settings: howdah_core::settings::Settings) {
    shared.settings.store(Arc::new(settings));
    shared.settings_changed();
    // The server may have been right to refuse what was configured before.
    with_pools(shared, |pools, now, fx| pools.try_again(|_, _| true, now, fx));
    shared.tell_all(|| Message::SettingsChanged);
}

async fn pause(shared: &Shared, database: Option<&str>) -> Result<(), String> {
    known(shared, database)?;
    if shared.pools.lock().pools.is_paused(database) {
        return Err("already suspended/paused".to_owned());
    }
    with_pools(shared, |pools, now, fx| pools.pause(database, now, fx));
    wait_until(|| {
        let inner = shared.pools.lock();
        // RESUME in the meantime ends the wait too.
        inner.pools.is_quiet(database) || !inner.pools.is_paused(database)
    })
    .await;
    Ok(())
}

fn resume(shared: &Shared, database: Option<&str>) -> Result<(), String> {
    known(shared, database)?;
    if !shared.pools.lock().pools.is_paused(database) {
        return Err(match database {
            Some(name) => format!("database {name} is not paused"),
            None => "pooler is not paused/suspended".to_owned(),
        });
    }
    with_pools(shared, |pools, now, fx| pools.resume(database, now, fx));
    Ok(())
}

fn known(shared: &Shared, database: Option<&str>) -> Result<(), String> {
    match database {
        Some(name) if shared.settings.load().database(name).is_none() => {
            Err(format!("no such database: {name}"))
        }
        _ => Ok(()),
    }
}

async fn close_clients(shared: &Shared, which: &Which, reason: CloseReason) -> usize {
    let mut replies = Vec::new();
    for door in shared.workers.get().into_iter().flatten() {
        let (closed, count) = oneshot::channel();
        if door.mailbox.send(Message::Close { which: which.clone(), reason, closed }).is_ok() {
            replies.push(count);
        }
    }
    let mut sum = 0;
    for count in replies {
        sum += count.await.unwrap_or(0);
    }
    sum
}

async fn shut_down(shared: Arc<Shared>, how: Shutdown, ending: Rc<Notify>) {
    shared.close();
    shared.tell_all(|| Message::CloseDoors);
    tracing::info!(?how, "shutting down");
    match how {
        Shutdown::Immediate => {}
        Shutdown::WaitForServers => {
            with_pools(&shared, |pools, now, fx| pools.pause(None, now, fx));
            wait_until(|| shared.pools.lock().pools.is_quiet(None)).await;
        }
        Shutdown::WaitForClients => {
            wait_until(|| shared.admission().total_served() == 0).await;
        }
    }
    // Who is in line is told, and PostgreSQL gets a goodbye on each connection.
    with_pools(&shared, |pools, now, fx| pools.drain_servers(now, fx));
    close_clients(&shared, &Which::Everybody, CloseReason::Shutdown).await;
    let all_gone = wait_until(|| shared.admission().total() == 0);
    // Clients that do not take their last message are not waited for.
    let _ = tokio::time::timeout(LAST_WORDS, all_gone).await;
    ending.notify_one();
}

/// Lets the pools decide something, and sees to it that it is done.
pub(crate) fn with_pools(
    shared: &Shared,
    act: impl FnOnce(&mut Pools, std::time::Instant, &mut Vec<howdah_core::pool::Effect>),
) {
    let now = tokio::time::Instant::now().into_std();
    let errands = shared.pools.with(|pools, fx| act(pools, now, fx));
    if errands.is_empty() {
        return;
    }
    let mut doors = shared.workers.get().into_iter().flatten();
    if let Some(door) = doors.by_ref().min_by_key(|door| door.clients.load(Ordering::Relaxed)) {
        // A worker that has stopped opens and closes nothing any more.
        let _ = door.mailbox.send(Message::Errands(errands));
    }
}

async fn wait_until(mut condition: impl FnMut() -> bool) {
    let mut look_again = tokio::time::interval(LOOK_AGAIN);
    while !condition() {
        look_again.tick().await;
    }
}

/// How often a waiting command looks whether what it waits for has come about.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// How long clients are given to take the news that Howdah stops.
const LAST_WORDS: Duration = Duration::from_millis(500);
