//! Several clients share two server connections at random; each must see exactly what it would see on a
//! connection of its own. Only the statement name in an error may be another of the client's names for the
//! same text.
//!
//! Left out, since it is known to differ: which error comes first in a failed transaction; using an older unnamed
//! statement after a batch failed that would have replaced it; names used behind a DEALLOCATE ALL in the same batch;
//! a name given away both by PREPARE and by Parse, or taken away by DEALLOCATE and used by the protocol, before the
//! transaction has ended; and a statement executed by name in the text that ends a failed transaction.

use std::fmt;

use proptest::prelude::*;

use super::model::{Postgres, SETTINGS};
use super::notation;
use super::scripts;
use super::stage::{Stage, rules};
use crate::facts::CloseReason;
use crate::server::Server;
use crate::session::Asks;
use crate::settings::{PoolMode, StateCheck};

const MAX_PREPARED: u32 = 2;

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_client_sees_a_connection_of_its_own(
        scripts in proptest::collection::vec(scripts::of_protocol(), 2..5),
        schedule in schedule(),
    ) {
        Run::new(scripts, None, StateCheck::Hinted).play(&schedule)?;
    }

    #[test]
    fn every_client_has_a_session_of_its_own(
        scripts in proptest::collection::vec(scripts::of_sessions(), 2..5),
        schedule in schedule(),
    ) {
        Run::new(scripts, None, StateCheck::Hinted).play(&schedule)?;
    }

    #[test]
    fn every_client_has_a_session_of_its_own_that_is_always_asked_about(
        scripts in proptest::collection::vec(scripts::of_sessions(), 2..5),
        schedule in schedule(),
    ) {
        Run::new(scripts, None, StateCheck::Always).play(&schedule)?;
    }

    #[test]
    fn clients_that_vanish_leave_nothing_of_their_sessions(
        scripts in proptest::collection::vec(scripts::of_sessions(), 2..5),
        schedule in schedule(),
        vanish_at in 0..200_usize,
        orderly in any::<bool>(),
    ) {
        Run::new(scripts, Some((vanish_at, orderly)), StateCheck::Hinted).play(&schedule)?;
    }

    #[test]
    fn clients_that_vanish_disturb_nobody(
        scripts in proptest::collection::vec(scripts::of_protocol(), 2..5),
        schedule in schedule(),
        vanish_at in 0..200_usize,
        orderly in any::<bool>(),
    ) {
        Run::new(scripts, Some((vanish_at, orderly)), StateCheck::Hinted).play(&schedule)?;
    }
}

struct Run {
    stage: Stage,
    postgres: Vec<Postgres>,
    /// What the clients have still to send.
    left: Vec<Vec<u8>>,
    direct: Vec<Vec<u8>>,
    /// When client 0 vanishes, and how.
    vanishes: Option<(usize, bool)>,
}

impl Run {
    fn new(scripts: Vec<Vec<String>>, vanishes: Option<(usize, bool)>, check: StateCheck) -> Run {
        let mut rules = rules(PoolMode::Transaction, MAX_PREPARED);
        rules.state.check = check;
        let known = [("TimeZone", "UTC"), ("application_name", "")]
            .map(|(name, value)| (rules.tracked.index(name).unwrap(), value));
        let mut stage = Stage::new(rules, scripts.len() as u64, 2);
        stage.grants = false;
        for client in &mut stage.clients {
            for (index, value) in known {
                client.session.parameters.set(index, value);
            }
        }
        for backend in &mut stage.servers {
            for (index, value) in known {
                backend.server.parameters.set(index, value);
            }
            backend.server.login = Some("super".into());
        }
        let (left, direct) = scripts.iter().enumerate().map(|(c, script)| play_directly(c, script)).unzip();
        Run { stage, postgres: vec![Postgres::new(), Postgres::new()], left, direct, vanishes }
    }

    fn play(mut self, schedule: &Schedule) -> Result<(), TestCaseError> {
        for (turn, &(actor, amount)) in schedule.0.iter().enumerate() {
            self.vanish(turn);
            self.act(usize::from(actor), usize::from(amount) + 1);
        }
        self.vanish(usize::MAX);
        let mut idle = 0;
        while idle < 20 {
            let moved = (0..self.left.len() + 4).filter(|&actor| self.act(actor, 23)).count();
            idle = if moved > 0 { 0 } else { idle + 1 };
        }
        self.check()
    }

    /// One of the clients or servers sends or is sent some bytes. False: it had none.
    fn act(&mut self, actor: usize, amount: usize) -> bool {
        let clients = self.left.len();
        let (role, server) = (actor % (clients + 4), actor % 2);
        let moved = if role < clients {
            let part = take(&mut self.left[role], amount);
            if self.stage.clients[role].left.is_none() {
                self.stage.client_bytes(role, &part);
            }
            !part.is_empty()
        } else if role < clients + 2 {
            let part = take(&mut self.stage.servers[server].out, amount);
            self.postgres[server].receive(&part);
            !part.is_empty()
        } else {
            let part = take(&mut self.postgres[server].sent, amount);
            self.stage.server_bytes(server, &part);
            !part.is_empty()
        };
        self.grant(amount);
        moved
    }

    fn grant(&mut self, seed: usize) {
        let waiting: Vec<_> = (0..self.left.len()).filter(|&c| self.stage.clients[c].in_line).collect();
        let free: Vec<_> = (0..2).filter(|&s| self.stage.is_free(s)).collect();
        if let (false, false) = (waiting.is_empty(), free.is_empty()) {
            self.stage.link(waiting[seed % waiting.len()], free[seed / 2 % free.len()]);
        }
    }

    fn vanish(&mut self, turn: usize) {
        if let Some((when, orderly)) = self.vanishes
            && when <= turn
        {
            self.vanishes = None;
            if self.stage.clients[0].left.is_none() {
                self.stage.abandon(0, orderly, None);
            }
        }
    }

    fn check(&self) -> Result<(), TestCaseError> {
        for backend in &self.stage.servers {
            // Only in the middle of a message of the client that vanished.
            let fine = matches!(backend.closed, None | Some(CloseReason::ServerUnclean));
            prop_assert!(fine, "{:?}", backend.server);
        }
        for (c, client) in self.stage.clients.iter().enumerate() {
            let (seen, direct) = (notation::to_client(&client.out), notation::to_client(&self.direct[c]));
            if client.left.is_some() {
                let whole =
                    seen.split(" / ").filter(|m| !m.is_empty() && !m.starts_with('…')).collect::<Vec<_>>();
                let begun = direct.split(" / ").take(whole.len()).collect::<Vec<_>>();
                prop_assert_eq!(anonymous(&whole.join(" / ")), anonymous(&begun.join(" / ")), "client {}", c);
            } else {
                prop_assert_eq!(anonymous(&seen), anonymous(&direct), "client {}", c);
                prop_assert!(client.server.is_none() && !client.in_line, "client {} is not done", c);
            }
        }
        for (backend, postgres) in self.stage.servers.iter().zip(&self.postgres) {
            prop_assert!(!postgres.dead);
            if backend.closed.is_some() {
                continue;
            }
            prop_assert!(backend.server.is_settled() && backend.cleanup.is_none());
            prop_assert_eq!(believed(&backend.server), found(postgres), "{:?}", backend.server);
        }
        Ok(())
    }
}

/// What Howdah takes a server connection's session for.
fn believed(server: &Server) -> String {
    let state = server.state.as_deref().cloned().unwrap_or_default();
    // A setting asked for by name may have its default value; a custom parameter may be empty.
    let is_default =
        |name: &str, value: &str| SETTINGS.contains(&(name, value)) || name.contains('.') && value.is_empty();
    let set = state.settings.iter().filter(|(name, value)| !is_default(name, value));
    let settings = set.map(|(name, value)| format!("{name}={value}"));
    let roles = [("role", &state.role), ("session_authorization", &state.authorization)]
        .into_iter()
        .filter_map(|(name, value)| Some(format!("{name}={}", value.as_ref()?)));
    let lives = [(Asks::TEMP, "temp"), (Asks::CURSORS, "cursors"), (Asks::LOCKS, "lock")];
    let lives =
        lives.into_iter().filter(|(asks, _)| server.lives.has(*asks)).map(|(_, name)| name.to_owned());
    let channels: Vec<_> =
        state.channels.iter().map(|channel| String::from_utf8_lossy(channel.name())).collect();
    let channels = (!channels.is_empty()).then(|| format!("channels={}", channels.join(",")));
    let all: Vec<_> = settings.chain(roles).chain(lives).chain(channels).collect();
    format!("{} parsed {}", all.join(" "), server.statements.len())
}

/// What it is like. Reported settings are compared by what the clients see.
fn found(postgres: &Postgres) -> String {
    let session = postgres.session.to_string();
    let reported = ["timezone=", "application_name="];
    let known = session
        .split(' ')
        .filter(|part| !part.is_empty() && !reported.iter().any(|name| part.starts_with(name)));
    let only_name = |part: &str| ["temp", "cursors", "lock"].contains(&part.split('=').next().unwrap());
    let all: Vec<_> =
        known.map(|part| if only_name(part) { part.split('=').next().unwrap() } else { part }).collect();
    format!("{} parsed {}", all.join(" "), postgres.parsed())
}

/// All bytes of the script, and the answers of a connection of its own.
fn play_directly(client: usize, script: &[String]) -> (Vec<u8>, Vec<u8>) {
    let (mut bytes, mut postgres) = (Vec::new(), Postgres::new());
    let (mut answers, mut unnamed_in_doubt) = (Vec::new(), false);
    for (number, batch) in script.iter().enumerate() {
        let value = format!("c{client}n{number}");
        let mut parsed_here = false;
        let messages: Vec<_> = batch
            .split(" / ")
            .filter(|message| {
                parsed_here |= message.starts_with("P - ");
                let uses = message.starts_with("B - ") || *message == "D -";
                !uses || parsed_here || !unnamed_in_doubt
            })
            .map(|message| message.replace('%', &value).replace('@', &client.to_string()))
            .collect();
        let batch = messages.join(" / ");
        let sent = notation::from_client(&batch);
        postgres.receive(&sent);
        bytes.extend_from_slice(&sent);
        let answer = std::mem::take(&mut postgres.sent);
        let failed = notation::to_client(&answer).split(" / ").any(|m| m.starts_with("E "));
        if batch.starts_with("Q ") || (parsed_here && !failed) {
            unnamed_in_doubt = false;
        } else if failed && (parsed_here || batch.contains("C -")) {
            unnamed_in_doubt = true;
        }
        answers.extend(answer);
    }
    assert!(!postgres.dead, "no script for the model");
    (bytes, answers)
}

fn take(bytes: &mut Vec<u8>, amount: usize) -> Vec<u8> {
    let amount = amount.min(bytes.len());
    bytes.drain(..amount).collect()
}

/// Without the names of statements. In a failed transaction every error is as good as another.
fn anonymous(text: &str) -> String {
    let text = text.replace("prepared statement \\\"HOWDAH_1\\\"", "unnamed prepared statement");
    let names = ["a", "b", "c", "z"];
    let text = names.iter().fold(text, |text, name| text.replace(&format!("\\\"{name}\\\""), "?"));
    let mut failed = false;
    let message = |message: &str| {
        failed = if message.starts_with("Z ") { message == "Z E" } else { failed };
        if failed && message.starts_with("E ") { "E failed".to_owned() } else { message.to_owned() }
    };
    text.split(" / ").map(message).collect::<Vec<_>>().join(" / ")
}

/// Who acts next, and on how many bytes.
#[derive(Clone)]
struct Schedule(Vec<(u8, u16)>);

impl fmt::Debug for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|(actor, amount)| write!(f, "{actor}:{amount} "))
    }
}

fn schedule() -> impl Strategy<Value = Schedule> {
    let amount = prop_oneof![0..12_u16, 0..80_u16, Just(4000)];
    proptest::collection::vec((any::<u8>(), amount), 0..400).prop_map(Schedule)
}
