//! How is a script played?

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::reply;
use super::script::{Action, Script, Step};
use super::seat::Seat;
use super::stage::Stage;
use crate::raw::client::RawClient;
use crate::wait::breathe;

/// The replies to each step, as they are compared.
pub(super) fn play(script: &Script, stage: &mut Stage, superuser: &mut RawClient) -> Vec<Vec<String>> {
    let mut play = Play { stage, superuser, seats: BTreeMap::new(), pids: Vec::new() };
    let replies = script.steps.iter().map(|step| play.step(step)).collect();
    let letters: Vec<_> = play.seats.keys().copied().collect();
    for letter in letters {
        play.leave(letter);
    }
    replies
}

struct Play<'a> {
    stage: &'a mut Stage,
    superuser: &'a mut RawClient,
    seats: BTreeMap<char, Seat>,
    /// Who was given which process id.
    pids: Vec<(char, u32)>,
}

impl Play<'_> {
    fn step(&mut self, step: &Step) -> Vec<String> {
        match &step.action {
            Action::Connect { client, parameters } => {
                let parameters = match (parameters, self.seats.get(client)) {
                    (Some(parameters), _) => with_user(parameters),
                    (None, Some(seat)) => seat.parameters.clone(),
                    (None, None) => with_user(&[]),
                };
                self.leave(*client);
                self.connect(*client, parameters)
            }
            Action::Leave { client } => {
                self.leave(*client);
                Vec::new()
            }
            Action::Send { client, batch } => {
                self.be_seated(*client);
                if self.seats.get(client).is_some_and(Seat::is_idle) {
                    self.stage.scatter(*client, &self.seats);
                }
                let bytes = batch.bytes(|text| self.with_pids(text));
                let seat = self.seats.get_mut(client).expect("everybody was seated");
                let replies = reply::lines(&seat.send(batch, &bytes), &self.pids);
                self.stage.disperse();
                replies
            }
            Action::Hear { client, notifications } => {
                self.be_seated(*client);
                let seat = self.seats.get_mut(client).expect("everybody was seated");
                reply::lines(&seat.hear(*notifications), &self.pids)
            }
            Action::Setup(sql) => {
                let sql = self.with_pids(sql);
                match self.stage.migrator() {
                    Some(mut migrator) => drop(migrator.run(&sql)),
                    None => drop(self.superuser.run(&sql)),
                }
                Vec::new()
            }
            Action::Elsewhere(sql) => {
                let sql = self.with_pids(sql);
                self.superuser.run(&sql);
                Vec::new()
            }
            Action::Until(sql) => {
                let sql = self.with_pids(sql);
                if until(self.superuser, &sql) { Vec::new() } else { vec![format!("(never: {sql})")] }
            }
        }
    }

    fn be_seated(&mut self, client: char) {
        if !self.seats.contains_key(&client) {
            self.connect(client, with_user(&[]));
        }
    }

    fn connect(&mut self, client: char, parameters: Vec<(String, String)>) -> Vec<String> {
        let (mut seat, welcome) = Seat::take(self.stage.connect(), self.stage.database(), parameters);
        self.pids.retain(|(letter, _)| *letter != client);
        self.pids.push((client, seat.pid()));
        if self.stage.keeps_servers()
            && let Some(backend) = seat.backend()
        {
            self.pids.push((client, backend));
        }
        self.seats.insert(client, seat);
        reply::lines(&welcome, &self.pids)
    }

    fn leave(&mut self, client: char) {
        if let Some(seat) = self.seats.remove(&client) {
            seat.leave();
        }
    }

    fn with_pids(&self, text: &str) -> String {
        self.pids.iter().fold(text.to_owned(), |text, (letter, pid)| {
            text.replace(&format!("{{{letter}}}"), &pid.to_string())
        })
    }
}

/// Whether a query says `t` before long.
pub(super) fn until(superuser: &mut RawClient, sql: &str) -> bool {
    let deadline = Instant::now() + PATIENCE;
    while superuser.value(sql) != "t" {
        if Instant::now() > deadline {
            return false;
        }
        breathe();
    }
    true
}

fn with_user(parameters: &[(String, String)]) -> Vec<(String, String)> {
    let mut parameters = parameters.to_vec();
    if parameters.iter().all(|(name, _)| name != "user") {
        parameters.push(("user".to_owned(), "postgres".to_owned()));
    }
    parameters
}

const PATIENCE: Duration = Duration::from_secs(5);
