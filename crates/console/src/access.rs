//! May they? One gate before all commands.
//!
//! Only an [`Admitted`] command can be carried out, only [`admit`] makes one, and it asks each command for the
//! role it needs. The matches have no default arm: a new command does not compile until it says so.

use howdah_core::control::{AdminRole, Request};

use crate::command::{Command, Unbuilt};
use crate::error::ConsoleError;

/// A command its sender may give.
#[derive(Debug)]
pub(crate) struct Admitted(Command);

impl Admitted {
    pub(crate) fn into_command(self) -> Command {
        self.0
    }
}

/// Admits `command` if `role` is enough for it.
pub(crate) fn admit(command: Command, role: AdminRole) -> Result<Admitted, ConsoleError> {
    match (needed(&command), role) {
        (AdminRole::Admin, AdminRole::Stats) => Err(ConsoleError::AdminNeeded),
        (AdminRole::Stats, _) | (_, AdminRole::Admin) => Ok(Admitted(command)),
    }
}

fn needed(command: &Command) -> AdminRole {
    match command {
        Command::Show(_) | Command::Chatter(_) => AdminRole::Stats,
        Command::ShowUnbuilt(unbuilt) => match unbuilt {
            Unbuilt::Fds => AdminRole::Admin,
            Unbuilt::ActiveSockets
            | Unbuilt::DnsHosts
            | Unbuilt::DnsZones
            | Unbuilt::Mem
            | Unbuilt::Sockets => AdminRole::Stats,
        },
        Command::Suspend => AdminRole::Admin,
        Command::Order(request) => needed_for(request),
    }
}

fn needed_for(request: &Request) -> AdminRole {
    match request {
        Request::Snapshot | Request::ShowConfig => AdminRole::Stats,
        Request::Set { .. }
        | Request::Reload
        | Request::Pause(_)
        | Request::Resume(_)
        | Request::Disable(_)
        | Request::Enable(_)
        | Request::Reconnect(_)
        | Request::Kill(_)
        | Request::KillClient(_)
        | Request::WaitClose(_)
        | Request::Shutdown(_) => AdminRole::Admin,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::parse;

    fn admitted(text: &str, role: AdminRole) -> bool {
        admit(parse(text).unwrap().remove(0), role).is_ok()
    }

    #[test]
    fn stats_users_look_and_touch_nothing() {
        for text in [
            "SET verbose = 1",
            "RELOAD",
            "PAUSE",
            "PAUSE a",
            "RESUME",
            "RESUME a",
            "DISABLE a",
            "ENABLE a",
            "RECONNECT",
            "RECONNECT a",
            "KILL",
            "KILL a",
            "KILL_CLIENT 1",
            "SUSPEND",
            "WAIT_CLOSE",
            "WAIT_CLOSE a",
            "SHUTDOWN",
            "SHUTDOWN WAIT_FOR_SERVERS",
            "SHUTDOWN WAIT_FOR_CLIENTS",
            "SHOW FDS",
        ] {
            assert!(!admitted(text, AdminRole::Stats), "{text}");
            assert!(admitted(text, AdminRole::Admin), "{text}");
        }
    }

    #[test]
    fn both_may_see_all_tables_and_be_drivers() {
        let tables = crate::show::Show::ALL.map(|show| format!("SHOW {}", show.name()));
        let chatter = ["BEGIN", "SET client_encoding = 'UTF8'", "SELECT 1", "DISCARD ALL", "SHOW MEM"];
        for text in tables.iter().map(String::as_str).chain(chatter) {
            assert!(admitted(text, AdminRole::Stats), "{text}");
            assert!(admitted(text, AdminRole::Admin), "{text}");
        }
    }
}
