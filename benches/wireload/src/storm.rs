//! What do established clients notice of a thousand that log in at the same moment?

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{PoisonError, RwLock};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args;

use crate::load::{Clients, Load, Processes, report};
use crate::login;
use crate::tally::Meter;

/// What `storm` is told.
#[derive(Args)]
pub(crate) struct Options {
    #[command(flatten)]
    clients: Clients,
    /// How many log in at once.
    #[arg(long, default_value = "1000")]
    logins: usize,
    /// How long to watch the established clients beforehand.
    #[arg(long, value_name = "SECONDS", default_value = "1")]
    calm: f64,
    #[command(flatten)]
    processes: Processes,
}

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let mut load = Load::start(&options.clients)?;
    let storm = Storm::default();
    thread::scope(|scope| {
        // However this ends, the gate is opened and nobody waits for ever.
        let gate = storm.gate.write().unwrap_or_else(PoisonError::into_inner);
        let logins: Vec<_> = (0..options.logins)
            .map(|_| {
                let login = || storm.one(&options.clients.login);
                thread::Builder::new().stack_size(STACK).spawn_scoped(scope, login)
            })
            .collect::<Result<_, _>>()
            .context("cannot start that many threads")?;
        // The threads are there and asleep.
        let end = Instant::now() + Duration::from_secs_f64(options.calm);
        let calm = load.until(|now| now >= end);
        let own = [std::process::id()];
        let meter = Meter::start(&options.processes.tested, &options.processes.peers, &own);
        drop(gate);
        let stormy = load.until(|_| storm.ended.load(Ordering::Relaxed) == options.logins);
        let (seconds, [tested, ..]) = meter.read();
        let (mut calm, mut stormy) = (calm?, stormy?);
        load.settle(&mut stormy)?;
        // Kept open till now, so that nobody's leaving is in the figures.
        let mut open = Vec::new();
        for login in logins {
            open.push(login.join().expect("a login does not panic")?);
        }
        let [calm_p50, calm_p99] = calm.quantiles([0.5, 0.99]);
        let [p50, p99] = stormy.quantiles([0.5, 0.99]);
        report(&[
            ("logins", options.logins as f64),
            ("seconds", seconds),
            ("cpu_s", tested),
            ("answers", stormy.answers() as f64),
            ("calm_p50_ms", calm_p50),
            ("calm_p99_ms", calm_p99),
            ("p50_ms", p50),
            ("p99_ms", p99),
        ]);
        Ok(())
    })
}

#[derive(Default)]
struct Storm {
    /// Held for writing while all wait.
    gate: RwLock<()>,
    ended: AtomicUsize,
}

impl Storm {
    fn one(&self, login: &login::Options) -> anyhow::Result<std::net::TcpStream> {
        drop(self.gate.read());
        let socket = login.log_in();
        self.ended.fetch_add(1, Ordering::Relaxed);
        socket
    }
}

/// A login needs little.
const STACK: usize = 128 * 1024;
