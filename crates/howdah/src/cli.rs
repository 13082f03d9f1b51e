//! What is asked for on the command line? Howdah's commands, and PgBouncer's own call `howdah [options] FILE`.

use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{ArgAction, Args, CommandFactory, Parser, Subcommand};

/// A connection pooler for PostgreSQL: many clients, few server connections.
#[derive(Parser)]
#[command(
    name = "howdah",
    version,
    about = "A connection pooler for PostgreSQL: many clients, few server connections",
    long_about = LONG_ABOUT,
    after_help = "More with --help.",
    after_long_help = AFTER_HELP,
    override_usage = "howdah <COMMAND> …\n       howdah [OPTIONS] <FILE>      the same as `howdah serve`, as PgBouncer is called",
    args_conflicts_with_subcommands = true,
    arg_required_else_help = true,
    max_term_width = 100
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    /// The configuration: a pgbouncer.ini, or postgres://user@host/database.
    #[arg(value_name = "FILE")]
    file: Option<Target>,
    #[command(flatten)]
    options: ServeOptions,
    #[command(flatten)]
    refused: Refused,
}

/// What to do.
pub(crate) enum Action {
    Serve { target: Target, options: ServeOptions },
    Check { target: Target },
    Demo(DemoOptions),
}

impl Cli {
    /// Reads the program's arguments, the first of which is its own name.
    ///
    /// # Errors
    /// Wrong usage, or help is asked for.
    pub(crate) fn read(arguments: &[OsString]) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(arguments).map_err(|error| {
            match arguments.get(1).and_then(|word| word.to_str()) {
                // A mistyped command is taken for a file, and what follows it for wrong.
                Some(word) if !error.use_stderr() || is_command(word) => error,
                Some(word) => Target::from(word).check().err().unwrap_or(error),
                None => error,
            }
        })
    }

    /// What was asked for.
    ///
    /// # Errors
    /// Nothing, or something PgBouncer does and Howdah does not.
    pub(crate) fn action(self) -> Result<Action, clap::Error> {
        match self.command {
            Some(Command::Serve { target, options }) => Ok(Action::Serve { target, options }),
            Some(Command::Check { target }) => Ok(Action::Check { target }),
            Some(Command::Demo(options)) => Ok(Action::Demo(options)),
            None => {
                self.refused.check()?;
                let missing = || refusal("a file is missing: howdah [OPTIONS] <FILE>");
                let target = self.file.ok_or_else(missing)?;
                target.check()?;
                Ok(Action::Serve { target, options: self.options })
            }
        }
    }
}

#[derive(Subcommand)]
enum Command {
    /// Serve clients until told to stop.
    #[command(after_help = AFTER_SERVE)]
    Serve {
        /// A pgbouncer.ini; or postgres://user@host/database: one server, sensible defaults.
        #[arg(value_name = "FILE | URL")]
        target: Target,
        #[command(flatten)]
        options: ServeOptions,
    },
    /// Read a configuration, list all that is wrong with it, and start nothing.
    #[command(
        after_help = "Exit code 0: Howdah would start with it, perhaps with warnings; 3: it would not."
    )]
    Check {
        /// A pgbouncer.ini, or a URL as `serve` takes it.
        #[arg(value_name = "FILE | URL")]
        target: Target,
    },
    /// See it work: a PostgreSQL of its own, a Howdah before it, and clients, live until Ctrl-C.
    #[command(after_help = "Leaves nothing behind. Exit code 1: a transaction failed.")]
    Demo(DemoOptions),
}

/// Options of `serve`, named as PgBouncer's.
#[derive(Args, Default)]
pub(crate) struct ServeOptions {
    /// Log more; twice: everything.
    #[arg(short, long, action = ArgAction::Count)]
    pub(crate) verbose: u8,
    /// Do not log to standard error (`logfile` is written all the same).
    #[arg(short, long)]
    pub(crate) quiet: bool,
    /// Started as root: become this user.
    #[arg(short, long, value_name = "USER")]
    pub(crate) user: Option<String>,
}

/// Options of `demo`.
#[derive(Args, Clone, Debug)]
pub(crate) struct DemoOptions {
    /// End by itself after that time; without it, Ctrl-C ends it.
    #[arg(long, value_name = "N")]
    pub(crate) seconds: Option<u64>,
    /// How many clients.
    #[arg(long, value_name = "N", default_value = "300", value_parser = clap::value_parser!(u32).range(1..=20_000))]
    pub(crate) clients: u32,
    /// How many server connections they share.
    #[arg(long, value_name = "N", default_value = "20", value_parser = clap::value_parser!(u32).range(1..=500))]
    pub(crate) servers: u32,
    /// How many worker threads; one per core if not said.
    #[arg(long, value_name = "N")]
    pub(crate) workers: Option<NonZeroUsize>,
}

/// PgBouncer's options that a modern init system or Howdah itself does better.
#[derive(Args)]
struct Refused {
    #[arg(short = 'R', long, hide = true)]
    reboot: bool,
    #[arg(short = 'd', long, hide = true)]
    daemon: bool,
}

impl Refused {
    fn check(&self) -> Result<(), clap::Error> {
        if self.reboot {
            return Err(refusal(
                "-R (take over a running process) is not supported; \
                 restart with so_reuseport = 1: start the new one, then send the old one SIGTERM",
            ));
        }
        if self.daemon {
            return Err(refusal(
                "-d (go to the background) is not supported; \
                 let systemd or another supervisor run it in the foreground",
            ));
        }
        Ok(())
    }
}

/// What describes the pools.
#[derive(Clone)]
pub(crate) enum Target {
    File(PathBuf),
    /// Holds a password, perhaps: not to be shown.
    Url(String),
}

impl From<&str> for Target {
    fn from(text: &str) -> Target {
        // Whatever the scheme: only as a URL is it sure not to be repeated with its password.
        if text.contains("://") { Target::Url(text.to_owned()) } else { Target::File(text.into()) }
    }
}

impl Target {
    /// Refuses a mistyped command, which would otherwise be taken for a file.
    fn check(&self) -> Result<(), clap::Error> {
        match self {
            Target::File(path) if path.to_str().is_some_and(is_a_word) && !path.exists() => {
                let (word, commands) = (path.display(), commands().join(", "));
                Err(refusal(&format!(
                    "there is neither a command nor a file {word}; the commands are {commands}"
                )))
            }
            _ => Ok(()),
        }
    }
}

fn is_a_word(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_lowercase())
}

fn is_command(word: &str) -> bool {
    word == "help" || commands().iter().any(|command| command == word)
}

fn commands() -> Vec<String> {
    Cli::command().get_subcommands().map(|command| command.get_name().to_owned()).collect()
}

fn refusal(message: &str) -> clap::Error {
    Cli::command().error(ErrorKind::InvalidValue, message)
}

const LONG_ABOUT: &str = "\
A connection pooler for PostgreSQL: many clients, few server connections.

Howdah sits between applications and PostgreSQL. Each client gets a connection of its own that
costs almost nothing; a few real server connections are lent to whoever has work for them. It
reads pgbouncer.ini and userlist.txt, answers PgBouncer's console and obeys its signals.";

const AFTER_HELP: &str = "\
Examples:
  howdah demo                                   see what pooling does, in a minute
  howdah check /etc/pgbouncer/pgbouncer.ini     would Howdah understand it?
  howdah serve /etc/pgbouncer/pgbouncer.ini     serve in PgBouncer's place
  howdah -q -u postgres pgbouncer.ini           the same, called as PgBouncer is
  howdah serve postgres://app@db.example/shop   no file: 127.0.0.1:6432 leads to that server
  psql -p 6432 -h 127.0.0.1 pgbouncer           the console: SHOW HELP

Exit codes:
  0  success
  1  it failed while running: a port in use, a failed transaction of the demo, …
  2  wrong usage
  3  the configuration cannot be used

More: README.md, ARCHITECTURE.md and docs/settings.md in the source.";

const AFTER_SERVE: &str = "\
A URL means: transaction pooling for clients on this machine (127.0.0.1:6432 and /tmp), who need no
password and are all that URL's user on the server.

Signals:
  HUP   read the configuration again        USR1  PAUSE
  TERM  stop when the last client has left  USR2  RESUME
  INT   stop when no server is in use       QUIT  stop at once, as does a second TERM or INT";
