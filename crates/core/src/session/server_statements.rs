//! What a server connection has prepared for all its clients, by the server's names.
//!
//! A statement exists here from its ParseComplete on, and until its CloseComplete; in between only messages of
//! the same batch may count on it, since they share its fate. What its rows look like is known once somebody
//! has asked.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::shape::Shape;
use super::statement::Statement;
use super::statements::Told;

/// What a server connection has prepared for all its clients, least recently used first out.
#[derive(Debug, Default)]
pub struct ServerStatements {
    prepared: FxHashMap<u64, Prepared>,
    clock: u64,
}

#[derive(Debug)]
struct Prepared {
    /// Kept, so that the text does not get another number while it is prepared here.
    statement: Arc<Statement>,
    /// As far as it has been asked for.
    shape: Option<Shape>,
    /// Howdah has asked for it.
    asked: bool,
    /// As far as replies have told.
    present: bool,
    /// At this time what is there was not out of date, see [`StatementRegistry::now`](super::StatementRegistry::now).
    good_at: u64,
    /// The same of what the last Parse sent will have made.
    sent_at: u64,
    /// Parse and Close messages sent and not answered.
    in_flight: u16,
    /// The last of them was a Parse, of this batch.
    parsed_in: Option<u32>,
    used: u64,
}

/// What must be sent so that a statement may be counted on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Nothing.
    Nothing,
    /// Parse.
    Parse,
    /// Close, then Parse: it may or may not be there.
    CloseAndParse,
    /// Describe: it is or will be there, and nobody knows what it looks like.
    Describe,
    /// Luck: it is there, and may be out of date, which for this client it must not be.
    Proof,
    /// The answer to that.
    Answer,
    /// Nothing helps: it is there and does not look like that.
    Another,
}

impl Prepared {
    /// The same, if it is there.
    #[inline]
    fn need(&self, told: Option<Shape>) -> Need {
        match told {
            None => Need::Nothing,
            Some(_) if self.asked => Need::Answer,
            told if told == self.shape => Need::Nothing,
            _ if self.shape.is_none() => Need::Describe,
            _ => Need::Another,
        }
    }
}

impl ServerStatements {
    /// What is needed so that messages of `batch` may use the statement. `told`: what it has to look like, and since
    /// when it must not be out of date.
    pub fn need(&mut self, id: u64, batch: u32, told: Told) -> Need {
        self.clock += 1;
        let Some(entry) = self.prepared.get_mut(&id) else { return Need::Parse };
        entry.used = self.clock;
        match entry {
            Prepared { in_flight: 0, present: true, good_at, .. }
                if told.shape.is_none() && *good_at < told.since =>
            {
                Need::Proof
            }
            Prepared { in_flight: 0, present: true, .. } => entry.need(told.shape),
            Prepared { in_flight: 0, .. } => Need::Parse,
            Prepared { parsed_in: Some(b), .. } if *b == batch => entry.need(told.shape),
            _ => Need::CloseAndParse,
        }
    }

    /// A Describe of Howdah's own has been sent.
    pub fn describe_sent(&mut self, id: u64) {
        if let Some(entry) = self.prepared.get_mut(&id) {
            entry.asked = true;
        }
    }

    /// A Describe was answered, or dropped after an error (`None`). Statements of one number that look different
    /// on two server connections are of different times: their text needs another number.
    pub fn described(&mut self, id: u64, shape: Option<Shape>) {
        let Some(entry) = self.prepared.get_mut(&id) else { return };
        entry.asked = false;
        let Some(shape) = shape else { return };
        entry.shape = Some(shape);
        if !entry.statement.agrees(shape) {
            entry.statement.retire();
        }
    }

    /// At this time it was not out of date.
    pub fn was_good(&mut self, id: u64, at: u64) {
        if let Some(entry) = self.prepared.get_mut(&id).filter(|entry| entry.present && entry.in_flight == 0)
        {
            entry.good_at = entry.good_at.max(at);
        }
    }

    /// What is prepared here is out of date.
    pub fn retire(&self, id: u64) {
        if let Some(entry) = self.prepared.get(&id) {
            entry.statement.retire();
        }
    }

    /// It is there for certain, and nothing in flight will change that.
    #[must_use]
    pub fn is_settled(&self, id: u64) -> bool {
        self.prepared.get(&id).is_some_and(|e| e.present && e.in_flight == 0)
    }

    /// All that are there for certain.
    #[must_use]
    pub fn all_settled(&self) -> Vec<u64> {
        self.prepared
            .iter()
            .filter(|(_, entry)| entry.present && entry.in_flight == 0)
            .map(|(&id, _)| id)
            .collect()
    }

    /// A Parse has been sent at this time.
    pub fn parse_sent(&mut self, statement: &Arc<Statement>, batch: u32, now: u64) {
        let used = self.clock;
        let entry = self.prepared.entry(statement.id).or_insert_with(|| Prepared {
            statement: Arc::clone(statement),
            shape: None,
            asked: false,
            present: false,
            good_at: 0,
            sent_at: 0,
            in_flight: 0,
            parsed_in: None,
            used,
        });
        entry.in_flight += 1;
        entry.parsed_in = Some(batch);
        entry.sent_at = now;
    }

    /// A Close has been sent.
    pub fn close_sent(&mut self, id: u64) {
        if let Some(entry) = self.prepared.get_mut(&id) {
            entry.in_flight += 1;
            entry.parsed_in = None;
        }
    }

    /// A Parse or Close was answered (`present`: it is there now), or dropped after an error (`None`).
    pub fn settle(&mut self, id: u64, present: Option<bool>) {
        let Some(entry) = self.prepared.get_mut(&id) else { return };
        entry.in_flight = entry.in_flight.saturating_sub(1);
        if let Some(present) = present {
            entry.present = present;
            entry.good_at = entry.sent_at;
            entry.shape = None;
        }
        if entry.in_flight == 0 && !entry.present {
            self.prepared.remove(&id);
        }
    }

    /// A statement that is out of date or else the least recently used, if there will be `limit` or more.
    #[must_use]
    pub fn eviction(&self, limit: u32) -> Option<u64> {
        let stays = |entry: &&Prepared| entry.in_flight == 0 || entry.parsed_in.is_some();
        if self.prepared.len() < limit as usize
            || self.prepared.values().filter(stays).count() < limit as usize
        {
            return None;
        }
        let last = |entry: &Prepared| (!entry.statement.is_retired(), entry.used);
        self.prepared.iter().filter(|(_, e)| e.in_flight == 0).min_by_key(|(_, e)| last(e)).map(|(&id, _)| id)
    }

    /// DEALLOCATE ALL or DISCARD ALL has happened.
    pub fn clear(&mut self) {
        self.prepared.retain(|_, entry| {
            entry.present = false;
            entry.in_flight > 0
        });
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.prepared.len()
    }

    /// There are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.prepared.is_empty()
    }
}
