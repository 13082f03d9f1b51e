//! Whose is the unnamed prepared statement of a server connection, and is it there?

/// The unnamed prepared statement: there is one, and the last client to parse it owns it.
#[derive(Debug, Default)]
pub struct UnnamedStatement {
    /// The client's number, and how many unnamed statements it had parsed by then.
    owner: Option<(u64, u64)>,
    /// Howdah has sent its Parse, in this batch, and knows no answer.
    in_flight: Option<u32>,
}

impl UnnamedStatement {
    /// The client with this number has sent its n-th Parse for it.
    pub fn parsed(&mut self, client: u64, generation: u64) {
        self.owner = Some((client, generation));
        self.in_flight = None;
    }

    /// The same text has been sent again, on Howdah's account and in this batch.
    pub fn carried(&mut self, client: u64, generation: u64, batch: u32) {
        self.owner = Some((client, generation));
        self.in_flight = Some(batch);
    }

    /// A Parse was answered, or dropped after an error.
    pub fn settle(&mut self, generation: u64, present: bool) {
        if self.owner.is_some_and(|(_, n)| n == generation) {
            self.in_flight = None;
            if !present {
                self.owner = None;
            }
        }
    }

    /// It is gone, or nobody's; what is still in flight for it concerns nobody any more.
    #[inline]
    pub fn forget(&mut self) {
        self.owner = None;
        self.in_flight = None;
    }

    /// It is the one of this client's n-th Parse.
    #[must_use]
    pub fn is_of(&self, client: u64, generation: u64) -> bool {
        self.owner == Some((client, generation))
    }

    /// Whether it is there depends on the fate of a batch before `batch`.
    #[must_use]
    pub fn is_in_doubt(&self, batch: u32) -> bool {
        self.in_flight.is_some_and(|sent_in| sent_in != batch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The client vanished while the Parse that Howdah had carried over for it was in flight. The next client
    /// was made to wait for an answer that nobody would note.
    #[test]
    fn a_forgotten_statement_leaves_no_doubt() {
        let mut unnamed = UnnamedStatement::default();
        unnamed.carried(1, 1, 19);
        assert!(unnamed.is_in_doubt(20));
        unnamed.forget();
        unnamed.settle(1, true);
        assert!(!unnamed.is_in_doubt(20));
        assert!(!unnamed.is_of(1, 1));
    }
}
