//! What does one client of a watch do?

use std::sync::atomic::{AtomicUsize, Ordering};

use howdah_tests::{Database, RawClient};

use crate::changes;
use crate::dice::Dice;
use crate::direct;
use crate::twins::{Difference, Twins};
use crate::watch::{Finding, Watch};

/// One client of a watch, through many sessions.
pub(crate) struct Client<'a> {
    watch: &'a Watch,
    database: &'a Database,
    connection: &'a (dyn Fn() -> RawClient + Sync),
    user: &'static str,
    /// How many more of this pool's clients may keep a server connection for themselves.
    pins: &'a AtomicUsize,
    dice: Dice,
    pinned: Option<Pinned>,
}

impl<'a> Client<'a> {
    pub(crate) fn new(
        watch: &'a Watch,
        database: &'a Database,
        connection: &'a (dyn Fn() -> RawClient + Sync),
        user: &'static str,
        pins: &'a AtomicUsize,
        dice: Dice,
    ) -> Self {
        Self { watch, database, connection, user, pins, dice, pinned: None }
    }

    /// Session after session, until enough has been seen.
    pub(crate) fn live(mut self) {
        while !self.watch.is_over() {
            let serial = self.watch.next_serial();
            let mut parameters = vec![("user", self.user), ("database", self.database.name())];
            for _ in 0..self.dice.below(3) {
                let (name, value) = self.dice.one_of(changes::AT_START);
                if parameters.iter().all(|(other, _)| *other != name) {
                    parameters.push((name, value));
                }
            }
            match Twins::login((self.connection)(), direct(), serial, &parameters) {
                Ok(mut twins) => match self.session(&mut twins) {
                    Ok(()) if self.dice.percent(50) => twins.terminate(),
                    Ok(()) => {}
                    Err(difference) => self.found(difference, twins.history),
                },
                Err(difference) => self.found(difference, vec![format!("login {parameters:?}")]),
            }
            if self.pinned.take().is_some() {
                self.pins.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// A session's life, from the first look to the last.
    fn session(&mut self, twins: &mut Twins) -> Result<(), Difference> {
        self.look(twins)?;
        for _ in 0..self.dice.below(100) {
            let change = self.change();
            change.iter().try_for_each(|step| twins.step(step))?;
            self.look(twins)?;
            if self.watch.is_over() {
                return Ok(());
            }
        }
        if self.dice.percent(30) {
            changes::unfinished(&mut self.dice).iter().try_for_each(|step| twins.step(step))?;
        }
        Ok(())
    }

    fn look(&self, twins: &mut Twins) -> Result<(), Difference> {
        self.watch.count_look();
        twins.look()
    }

    fn change(&mut self) -> changes::Change {
        match &mut self.pinned {
            Some(Pinned { left: 0, ends: Some(_) }) => {
                self.pins.fetch_add(1, Ordering::Relaxed);
                self.pinned.take().and_then(|pinned| pinned.ends).unwrap_or_default()
            }
            Some(pinned) => {
                pinned.left = pinned.left.saturating_sub(1);
                changes::any(&mut self.dice)
            }
            None if self.dice.percent(5) && may_pin(self.pins) => {
                let (change, ends) = changes::pinning(&mut self.dice);
                self.pinned = Some(Pinned { left: self.dice.below(5), ends });
                change
            }
            None => changes::any(&mut self.dice),
        }
    }

    fn found(&self, difference: Difference, history: Vec<String>) {
        self.watch.note(Finding { user: self.user, difference, history });
    }
}

/// A client has a server connection for itself.
struct Pinned {
    /// For so many more changes.
    left: usize,
    /// What ends it; else only the end of the session does.
    ends: Option<changes::Change>,
}

fn may_pin(pins: &AtomicUsize) -> bool {
    pins.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |free| free.checked_sub(1)).is_ok()
}
