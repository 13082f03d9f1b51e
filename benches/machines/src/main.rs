//! How many instructions does Howdah itself need for a query? The machines of `howdah-core`, driven as the
//! engine drives them, without a socket; `benches/count-instructions` runs this under callgrind.
//!
//! - `relay`: a client's request and its answer, through `Session` and `Server`
//! - `counter`: a server connection taken out of the pool and given back

mod counter;
mod relay;

use std::time::Instant;

use clap::{Parser, ValueEnum};
use counter::Counter;
use relay::Relay;

/// One machine, so many times.
#[derive(Parser)]
struct Cli {
    machine: Machine,
    times: u32,
}

#[derive(Clone, Copy, ValueEnum)]
enum Machine {
    /// A simple query and one row.
    Simple,
    /// Parse, Bind, Describe, Execute and Sync of the unnamed statement.
    Extended,
    /// Bind, Execute and Sync of a statement that is prepared on the server connection already.
    Prepared,
    /// A simple query and 1,000 rows.
    Rows,
    /// A server connection is free: taken, and given back.
    Pool,
    /// None is free: a place in line, given back by another client and so granted.
    Line,
}

#[expect(clippy::print_stdout, reason = "it is what the program is for")]
fn main() -> anyhow::Result<()> {
    let Cli { machine, times } = Cli::parse();
    let now = Instant::now();
    let mut turn: Box<dyn FnMut()> = match machine {
        Machine::Simple => relay(Relay::simple(1, now)),
        Machine::Extended => relay(Relay::extended(now)),
        Machine::Prepared => relay(Relay::prepared(now)),
        Machine::Rows => relay(Relay::simple(1000, now)),
        Machine::Pool => {
            let mut counter = Counter::new(now);
            Box::new(move || counter.take_and_give())
        }
        Machine::Line => {
            let mut counter = Counter::new(now);
            Box::new(move || counter.queue_and_grant())
        }
    };
    let start = Instant::now();
    for _ in 0..times {
        turn();
    }
    println!("{:.0} ns", start.elapsed().as_secs_f64() * 1e9 / f64::from(times.max(1)));
    Ok(())
}

fn relay(mut relay: Relay) -> Box<dyn FnMut()> {
    Box::new(move || relay.turn())
}
