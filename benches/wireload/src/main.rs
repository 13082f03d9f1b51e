//! A fake PostgreSQL and a load generator: both cost so little that a pooler between them is what is measured.
//!
//! - `server`, `session`: `serve`, a PostgreSQL that lets anyone in and answers at once with rows it makes up
//! - `load`, `client`: `load`, clients in a closed loop, each answer checked to be the asker's own
//! - `storm`: logins that all come at the same moment, while others are being served
//! - `hold`: clients that are logged in and say no more
//! - `login`: how a client gets in; `poll`, `conn`, `replies`: bytes and messages
//! - `usage`, `tally`: what it cost, and what came of it
//!
//! It is driven by `benches/compare`; results are one line of JSON.

mod client;
mod conn;
mod hold;
mod load;
mod login;
mod poll;
mod replies;
mod server;
mod session;
mod storm;
mod tally;
mod usage;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(about = "A fake PostgreSQL and a load generator, for measuring what is between them")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Be a PostgreSQL: let anyone in, answer at once.
    Serve(server::Options),
    /// Keep clients busy and say what it cost the processes between.
    Load(load::Options),
    /// Log in many clients at once while others are being served.
    Storm(storm::Options),
    /// Hold idle clients: as many as the last line read says. Ends with its input.
    Hold(hold::Options),
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::Serve(options) => server::run(&options),
        Command::Load(options) => load::run(&options),
        Command::Storm(options) => storm::run(&options),
        Command::Hold(options) => hold::run(&options),
    }
}
