//! Howdah, the connection manager of a PostgreSQL fleet: the program.
//!
//! One module per command (`serve`, `check`, `demo`) and one per thing a server process has to settle with its
//! machine: `logging`, `limits`, `account`, `pidfile`, `signals`; `metrics` answers Prometheus. What it does with clients is in `howdah-engine`.

mod account;
mod check;
mod cli;
mod configuration;
mod demo;
mod failure;
mod limits;
mod log_line;
mod logging;
mod metrics;
mod pidfile;
mod serve;
mod signals;

use std::io::Write;
use std::process::ExitCode;

use cli::{Action, Cli};

/// A login allocates two dozen times, and with the C library's allocator a sixth of its instructions were for that
/// (`docs/performance.md`).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().collect();
    let action = Cli::read(&arguments).and_then(Cli::action).unwrap_or_else(|error| error.exit());
    let result = match action {
        Action::Serve { target, options } => serve::run(target, &options),
        Action::Check { target } => check::run(target, &mut std::io::stdout()),
        Action::Demo(options) => demo::run(&options),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // Whoever closed standard error does not want to know.
            let _ = failure.tell(&mut std::io::stderr()).and_then(|()| std::io::stderr().flush());
            failure.exit_code()
        }
    }
}
