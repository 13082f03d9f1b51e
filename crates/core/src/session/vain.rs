//! Attempts to prepare what a message names that came to nothing, and what the client hears of them.
//!
//! The statement is the client's and on a direct connection would be there, out of date. What is prepared for a message
//! may fail without anybody being told; the message itself finds no such statement then, or a transaction that has
//! failed, and that is told as PostgreSQL would have told it: by what is wrong with the statement.

use howdah_wire::error_response::ErrorResponse;
use howdah_wire::sqlstate::SqlState;

use super::Session;

/// The attempts since the client's last ReadyForQuery, on one server connection.
#[derive(Debug, Default)]
pub(crate) struct Vain(Vec<(Box<[u8]>, ErrorResponse)>);

impl Vain {
    /// The statement of this name could not be prepared, for this reason.
    pub(super) fn note(&mut self, name: Box<[u8]>, error: ErrorResponse) {
        if self.0.len() < MAX_NOTED {
            self.0.push((name, error));
        }
    }

    /// It has been tried with this name.
    pub(super) fn has(&self, name: &[u8]) -> bool {
        self.0.iter().any(|(tried, _)| **tried == *name)
    }

    /// What has brought about an error that only says that a statement is not there, or that the transaction has failed.
    pub(super) fn cause_of(&self, error: &ErrorResponse) -> Option<&ErrorResponse> {
        let is_meant = |name: &[u8]| match error.code {
            SqlState::INVALID_SQL_STATEMENT_NAME => {
                error.message.contains(&format!("\"{}\"", String::from_utf8_lossy(name)))
            }
            code => code == SqlState::IN_FAILED_SQL_TRANSACTION,
        };
        self.0.iter().find(|(name, _)| is_meant(name)).map(|(_, cause)| cause)
    }

    /// The client is ready for something else, or gone.
    #[inline]
    pub(crate) fn forget(&mut self) {
        self.0.clear();
    }
}

impl Session {
    /// The statement of this name could not be prepared: because of what it says, or of the moment.
    pub(super) fn note_failure(&mut self, name: &[u8], code: SqlState) {
        let now = self.rules.registry.now();
        let lasts = LASTING.iter().any(|class| code.as_bytes().starts_with(class));
        if let Some(sql) = self.sql.as_mut().filter(|_| lasts) {
            sql.note_failure(name, Some(now));
        }
    }
}

/// More than that are not told apart.
const MAX_NOTED: usize = 64;
/// Classes of errors that come again: syntax or access, a feature that is not supported, a schema that is not there.
const LASTING: [&[u8]; 3] = [b"42", b"0A", b"3F"];
