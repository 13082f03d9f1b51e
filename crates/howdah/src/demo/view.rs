//! What does this moment look like in numbers, seen by the clients, by Howdah and by PostgreSQL itself?

use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use howdah_core::control::{Outcome, Request};
use howdah_engine::Control;
use tokio::time::Instant;
use tokio_postgres::Client;

use super::histogram::Histogram;
use super::stage::{self, Stage};
use super::tally::Tally;
use crate::cli::DemoOptions;

/// One moment. Rates and latencies are those of the last two seconds.
#[derive(Clone, Debug, Default)]
pub(crate) struct View {
    pub(crate) elapsed: Duration,
    pub(crate) clients: Clients,
    pub(crate) servers: Servers,
    pub(crate) postgres: Postgres,
    /// Transactions a second.
    pub(crate) rate: f64,
    /// The same, second by second, the last one last.
    pub(crate) rates: Vec<f64>,
    pub(crate) latency: Latency,
    pub(crate) done: u64,
    pub(crate) failed: u64,
    pub(crate) first_error: Option<String>,
}

/// Connections of clients to Howdah.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Clients {
    pub(crate) wanted: u32,
    pub(crate) connected: u32,
    pub(crate) waiting: u64,
}

/// Connections of Howdah to PostgreSQL.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Servers {
    pub(crate) allowed: u32,
    /// Lent to a client, that is in a transaction.
    pub(crate) in_use: u64,
    pub(crate) idle: u64,
}

/// Processes of PostgreSQL that serve a connection, as it counts them itself.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Postgres {
    pub(crate) backends: u64,
    pub(crate) most: u64,
    /// How many connections it allows ordinary users.
    pub(crate) room: u32,
}

/// From BEGIN sent to COMMIT answered, waiting for a server connection included.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Latency {
    pub(crate) p50: Option<Duration>,
    pub(crate) p99: Option<Duration>,
    pub(crate) longest: Option<Duration>,
}

impl Latency {
    fn of(histogram: &Histogram) -> Latency {
        Latency {
            p50: histogram.quantile(0.5),
            p99: histogram.quantile(0.99),
            longest: histogram.quantile(1.0),
        }
    }
}

/// Looks at the stage again and again.
pub(crate) struct Observer {
    control: Control,
    postgres: Client,
    tally: Rc<Tally>,
    options: DemoOptions,
    began: Instant,
    most_backends: u64,
    recent: VecDeque<Sample>,
    rates: Vec<f64>,
    /// When the last of `rates` was taken, and how many transactions were done then.
    rated: (Instant, u64),
}

struct Sample {
    at: Instant,
    done: u64,
    latency: Histogram,
}

impl Observer {
    pub(crate) async fn new(
        stage: &Stage,
        options: &DemoOptions,
        tally: Rc<Tally>,
    ) -> anyhow::Result<Observer> {
        let began = Instant::now();
        Ok(Observer {
            control: stage.control(),
            postgres: stage.behind().await?,
            tally,
            options: options.clone(),
            began,
            most_backends: 0,
            recent: VecDeque::new(),
            rates: Vec::new(),
            rated: (began, 0),
        })
    }

    /// How things stand.
    pub(crate) async fn look(&mut self) -> View {
        let backends = self.count_backends().await;
        self.most_backends = self.most_backends.max(backends);
        let now = self.sample();
        let oldest = self.recent.front().unwrap_or(&now);
        let span = now.at.duration_since(oldest.at).as_secs_f64();
        let rate = if span > 0.0 { (now.done - oldest.done) as f64 / span } else { 0.0 };
        let latency = Latency::of(&now.latency.since(&oldest.latency));
        self.rate(&now);
        let elapsed = now.at.duration_since(self.began);
        self.recent.push_back(now);
        let (waiting, servers) = self.ask_howdah().await;
        View {
            elapsed,
            clients: Clients { wanted: self.options.clients, connected: self.tally.connected_now(), waiting },
            servers,
            postgres: Postgres { backends, most: self.most_backends, room: stage::room(&self.options) },
            rate,
            rates: self.rates.clone(),
            latency,
            done: self.tally.total_done(),
            failed: self.tally.total_failed(),
            first_error: self.tally.first_error(),
        }
    }

    /// `last` with the sums of the whole time, also of what ended after it.
    pub(crate) fn final_sums(&self, last: View) -> View {
        let done = self.tally.total_done();
        View {
            rate: done as f64 / last.elapsed.as_secs_f64().max(0.001),
            latency: Latency::of(&self.tally.latency()),
            done,
            failed: self.tally.total_failed(),
            first_error: self.tally.first_error(),
            ..last
        }
    }

    fn sample(&mut self) -> Sample {
        let at = Instant::now();
        while self.recent.len() > 1 && self.recent.front().is_some_and(|old| at - old.at > RECENT) {
            self.recent.pop_front();
        }
        Sample { at, done: self.tally.total_done(), latency: self.tally.latency().clone() }
    }

    fn rate(&mut self, now: &Sample) {
        let (then, done) = self.rated;
        let span = now.at.duration_since(then);
        if span >= Duration::from_secs(1) {
            self.rates.push((now.done - done) as f64 / span.as_secs_f64());
            self.rated = (now.at, now.done);
        }
        let surplus = self.rates.len().saturating_sub(RATES);
        self.rates.drain(..surplus);
    }

    /// Without the connection that asks. It counts as none when PostgreSQL does not answer.
    async fn count_backends(&self) -> u64 {
        let row = self.postgres.query_one(BACKENDS, &[]).await;
        let count = row.and_then(|row| row.try_get::<_, i64>(0)).unwrap_or_default();
        count.unsigned_abs()
    }

    async fn ask_howdah(&self) -> (u64, Servers) {
        let mut waiting = 0;
        let mut servers = Servers { allowed: self.options.servers, ..Servers::default() };
        if let Outcome::Snapshot(snapshot) = self.control.run(Request::Snapshot).await {
            for pool in &snapshot.pools {
                waiting += pool.cl_waiting;
                servers.in_use += pool.sv_active;
                servers.idle += pool.sv_idle + pool.sv_used + pool.sv_tested;
            }
        }
        (waiting, servers)
    }
}

const BACKENDS: &str = "select count(*) from pg_stat_activity \
    where backend_type = 'client backend' and pid <> pg_backend_pid()";
/// What rates and latencies are shown of.
const RECENT: Duration = Duration::from_secs(2);
/// How many seconds of history are kept.
const RATES: usize = 40;
