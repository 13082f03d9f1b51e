//! Clients in a closed loop on one thread: each asks, waits for its answer, pauses if told to, asks again.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args;

use crate::client::{Client, Question};
use crate::conn::Conn;
use crate::login;
use crate::poll::Poll;
use crate::tally::{Meter, Tally};

/// What `load` is told.
#[derive(Args)]
pub(crate) struct Options {
    #[command(flatten)]
    clients: Clients,
    /// How long to measure.
    #[arg(long, default_value = "2")]
    seconds: f64,
    #[command(flatten)]
    processes: Processes,
}

/// Who is busy with what.
#[derive(Args)]
pub(crate) struct Clients {
    #[command(flatten)]
    pub(crate) login: login::Options,
    #[command(flatten)]
    question: Question,
    #[arg(long, default_value = "20")]
    clients: u32,
    /// How long each client rests after an answer.
    #[arg(long, value_name = "MICROSECONDS", default_value = "0")]
    pause: u64,
    /// How long to wait before anything is measured.
    #[arg(long, value_name = "SECONDS", default_value = "0.5")]
    warmup: f64,
}

/// Whose CPU time is of interest.
#[derive(Args)]
pub(crate) struct Processes {
    /// The process under test; may be repeated.
    #[arg(long = "pid")]
    pub(crate) tested: Vec<u32>,
    /// A process that works with it; may be repeated.
    #[arg(long = "peer")]
    pub(crate) peers: Vec<u32>,
}

/// Busy clients.
pub(crate) struct Load<'a> {
    options: &'a Clients,
    poll: Poll,
    clients: Vec<Client>,
    /// Who asks again, and when.
    resting: VecDeque<(Instant, usize)>,
    scratch: Vec<u8>,
}

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let mut load = Load::start(&options.clients)?;
    let own = [std::process::id()];
    let meter = Meter::start(&options.processes.tested, &options.processes.peers, &own);
    let end = Instant::now() + Duration::from_secs_f64(options.seconds);
    let mut tally = load.until(|now| now >= end)?;
    let (seconds, [tested, peers, own]) = meter.read();
    report(&[
        ("answers", tally.answers() as f64),
        ("bytes", tally.bytes as f64),
        ("seconds", seconds),
        ("cpu_s", tested),
        ("peer_s", peers),
        ("own_s", own),
        ("p50_ms", tally.quantiles([0.5])[0]),
        ("p99_ms", tally.quantiles([0.99])[0]),
    ]);
    Ok(())
}

impl Load<'_> {
    /// Logs all clients in and lets them ask until they are warm.
    pub(crate) fn start(options: &Clients) -> anyhow::Result<Load<'_>> {
        let poll = Poll::new()?;
        let mut clients = Vec::new();
        for number in 0..options.clients {
            let conn = Conn::new(options.login.log_in()?)?;
            poll.add(&conn.socket, clients.len())?;
            clients.push(Client::new(conn, number));
        }
        let resting = (0..clients.len()).map(|client| (Instant::now(), client)).collect();
        let mut load = Load { options, poll, clients, resting, scratch: vec![0; 256 * 1024] };
        let warm = Instant::now() + Duration::from_secs_f64(options.warmup);
        load.until(|now| now >= warm)?;
        Ok(load)
    }

    /// Goes on until it is enough; what came of it.
    pub(crate) fn until(&mut self, enough: impl Fn(Instant) -> bool) -> anyhow::Result<Tally> {
        let mut tally = Tally::default();
        loop {
            let now = Instant::now();
            if enough(now) {
                return Ok(tally);
            }
            while let Some((due, client)) = self.resting.front().copied().filter(|(due, _)| *due <= now) {
                self.resting.pop_front();
                self.clients[client].ask(&self.options.question, due.max(now))?;
            }
            self.listen(true, &mut tally)?;
        }
    }

    /// Waits for those who have asked: whoever was kept waiting is not to be forgotten.
    pub(crate) fn settle(&mut self, tally: &mut Tally) -> anyhow::Result<()> {
        while self.resting.len() < self.clients.len() {
            self.listen(false, tally)?;
        }
        Ok(())
    }

    /// Waits for answers once, for a short time. `again`: who got one and needs no rest asks again.
    fn listen(&mut self, again: bool, tally: &mut Tally) -> anyhow::Result<()> {
        let question = &self.options.question;
        let pause = Duration::from_micros(self.options.pause);
        let next = self.resting.front().filter(|_| again);
        let timeout = next.map_or(PATIENCE, |(due, _)| due.saturating_duration_since(Instant::now()));
        for number in self.poll.wait(timeout.min(PATIENCE))? {
            let client = &mut self.clients[number];
            let complete = hear(client, question, &mut self.scratch, tally)
                .with_context(|| format!("client {number}"))?;
            if complete && again && pause.is_zero() {
                client.ask(question, Instant::now())?;
            } else if complete {
                self.resting.push_back((Instant::now() + pause, number));
            }
        }
        Ok(())
    }
}

/// Reads all there is. True when this client's answer is complete.
fn hear(
    client: &mut Client,
    question: &Question,
    scratch: &mut [u8],
    tally: &mut Tally,
) -> anyhow::Result<bool> {
    client.conn.flush()?;
    let mut complete = false;
    while let Some(n) = client.conn.read(scratch)? {
        tally.bytes += n as u64;
        if client.hear(&scratch[..n], question)? {
            complete = true;
            tally.add(client.asked.elapsed());
        }
        if n < scratch.len() {
            break;
        }
    }
    Ok(complete)
}

/// Prints figures as one line of JSON; what could not be measured is left out.
#[expect(clippy::print_stdout, reason = "it is what the program is for")]
pub(crate) fn report(figures: &[(&str, f64)]) {
    let known = figures.iter().filter(|(_, value)| value.is_finite());
    let fields: Vec<String> = known.map(|(name, value)| format!("\"{name}\": {value:.9}")).collect();
    println!("{{{}}}", fields.join(", "));
}

/// How long nothing may happen before the clock is looked at.
const PATIENCE: Duration = Duration::from_millis(5);
