//! What does a script tell its clients to do?

use super::batch::Batch;

/// A play for a few clients, each with a letter for a name.
#[derive(Clone, Debug)]
pub struct Script {
    /// What it shows.
    pub name: String,
    /// Where it begins in its file.
    pub line: usize,
    /// The line of `docs/transparency.md` that allows its differences, in part.
    pub exception: Option<String>,
    pub(super) steps: Vec<Step>,
}

impl Script {
    /// The letters of those who play.
    pub(super) fn clients(&self) -> Vec<char> {
        let mut clients: Vec<_> = self.steps.iter().filter_map(|step| step.action.client()).collect();
        clients.sort_unstable();
        clients.dedup();
        clients
    }
}

/// One line of a script.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub(super) line: usize,
    pub(super) text: String,
    pub(super) action: Action,
    /// What comes through Howdah instead of what comes directly; empty if there is no difference.
    pub(super) instead: Vec<String>,
}

#[derive(Clone, Debug)]
pub(super) enum Action {
    /// Connects, after a farewell if there is a connection already; without parameters, with those of the last time.
    Connect { client: char, parameters: Option<Vec<(String, String)>> },
    /// Says farewell.
    Leave { client: char },
    /// Sends messages in one write and reads the replies.
    Send { client: char, batch: Batch },
    /// Waits for so many notifications.
    Hear { client: char, notifications: usize },
    /// The superuser prepares something, directly.
    Setup(String),
    /// The superuser changes something, directly, and Howdah does not hear of it.
    Elsewhere(String),
    /// The superuser looks, directly, until a query says `t`.
    Until(String),
}

impl Action {
    fn client(&self) -> Option<char> {
        match *self {
            Self::Connect { client, .. }
            | Self::Leave { client }
            | Self::Send { client, .. }
            | Self::Hear { client, .. } => Some(client),
            Self::Setup(_) | Self::Elsewhere(_) | Self::Until(_) => None,
        }
    }
}
