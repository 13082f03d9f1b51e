//! The question what the functions of a database do, asked on a server connection that nobody uses.

use howdah_wire::ErrorResponse;
use howdah_wire::sql::{Hints, HintsBuilder};

use super::state::field;

/// The question, and what has been answered.
#[derive(Debug, Default)]
pub(crate) struct Survey {
    rows: HintsBuilder,
    refusal: Option<ErrorResponse>,
}

impl Survey {
    /// In a transaction of its own, whose settings end with it: what a client has set there must not decide how long
    /// it may take, and compiling it would take longer than running it.
    pub(crate) fn query(millis: u64) -> String {
        format!(
            "SET LOCAL statement_timeout = {millis}; SET LOCAL jit = off; SET LOCAL client_min_messages = error; {}",
            Hints::query()
        )
    }

    /// A DataRow's body. `None`: it is not of this question.
    pub(crate) fn row(&mut self, body: &[u8]) -> Option<()> {
        let mut rest = body.get(2..)?;
        let (kind, name) = (field(&mut rest)??, field(&mut rest)??);
        let text = field(&mut rest)?.unwrap_or_default();
        self.rows.row(kind, name, text);
        Some(())
    }

    /// PostgreSQL does not say.
    pub(crate) fn refuse(&mut self, error: ErrorResponse) {
        self.refusal = Some(error);
    }

    /// # Errors
    /// PostgreSQL's own.
    pub(crate) fn outcome(self) -> Result<HintsBuilder, Box<ErrorResponse>> {
        self.refusal.map_or(Ok(self.rows), |refusal| Err(Box::new(refusal)))
    }
}
