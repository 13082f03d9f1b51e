//! Why did a command not do what it was asked, and with which exit code does the program say so?
//!
//! 1: it failed while running. 3: the configuration cannot be used. (2, wrong usage, is `clap`'s; 0 is success.)

use std::io::{self, Write};
use std::process::ExitCode;

/// The end of a command that did not succeed.
#[derive(Debug)]
pub(crate) struct Failure {
    code: u8,
    error: anyhow::Error,
    /// Standard error has it already, by way of the log.
    told: bool,
}

impl Failure {
    /// The configuration cannot be used.
    pub(crate) fn configuration(error: anyhow::Error) -> Failure {
        Failure { code: UNUSABLE_CONFIGURATION, error, told: false }
    }

    /// Writes the reason to the log. `seen`: whoever reads standard error sees the log.
    pub(crate) fn log(self, seen: bool) -> Failure {
        tracing::error!("{:#}", self.error);
        Failure { told: seen, ..self }
    }

    /// Says why, unless that has been said.
    pub(crate) fn tell(&self, out: &mut impl Write) -> io::Result<()> {
        if self.told { Ok(()) } else { writeln!(out, "howdah: {:#}", self.error) }
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.code)
    }
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Failure {
        Failure { code: FAILED, error: error.into(), told: false }
    }
}

const FAILED: u8 = 1;
const UNUSABLE_CONFIGURATION: u8 = 3;
