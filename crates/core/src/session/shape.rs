//! What a client was told that its statement looks like, and what becomes of it when the tables have changed.
//!
//! PostgreSQL refuses to run a prepared statement whose rows have come to look different ("cached plan must not
//! change result type"): whoever was told of two columns gets no third. A pool breaks that promise silently
//! where the statement is prepared afresh on another server connection. So whatever a client was told by
//! Describe, of the statement or of what was bound of it, is remembered with its name. On a server connection where
//! nobody knows what the statement looks like, that is asked before the client's Bind is carried out; if it is
//! something else, the Bind fails as on a direct connection. Who was told nothing takes what comes.
//!
//! What that question finds may itself be out of date, and is prepared anew then.

use std::hash::{DefaultHasher, Hasher};
use std::sync::Arc;

use howdah_wire::backend::{TransactionStatus, tag};
use howdah_wire::error_response::{ErrorResponse, Severity};
use howdah_wire::frontend::{self, TargetKind};
use howdah_wire::{FrameHeader, SqlState, write_message};

use super::relay_server::Reply;
use super::server_names::send_close;
use super::statement::Statement;
use super::statements::Told;
use super::{Expected, Kind, Patch, Session, Subject};
use crate::server::Server;

/// Parameter types and columns of a statement, as far as PostgreSQL compares them: not what table a column is
/// of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape(u64);

impl Shape {
    /// Of a ParameterDescription; more follows.
    fn of_parameters(header: FrameHeader, body: &[u8]) -> Shape {
        Shape::TOO_LONG.with(header, |hasher| hasher.write(body))
    }

    /// With the RowDescription or NoData that follows it.
    fn with_columns(self, header: FrameHeader, body: &[u8]) -> Shape {
        self.with(header, |hasher| {
            let (count, mut columns) = body.split_at(body.len().min(2));
            hasher.write(count);
            while let Some((name, rest)) =
                memchr::memchr(0, columns).and_then(|end| columns.split_at_checked(end + 1))
                && let Some((column, following)) = rest.split_at_checked(COLUMN)
            {
                hasher.write(name);
                hasher.write(column.get(TABLE..).unwrap_or_default());
                columns = following;
            }
            hasher.write(columns);
        })
    }

    fn with(self, header: FrameHeader, write: impl FnOnce(&mut DefaultHasher)) -> Shape {
        if header.total() > MAX_DESCRIPTION {
            return Shape::TOO_LONG;
        }
        let mut hasher = DefaultHasher::new();
        hasher.write_u64(self.0);
        hasher.write_u8(header.tag);
        write(&mut hasher);
        Shape(hasher.finish())
    }

    /// Of a description that is not waited for.
    const TOO_LONG: Shape = Shape(0);
}

impl Server {
    /// The next reply tells of a statement's shape, and is read as a whole.
    #[cold]
    #[must_use]
    pub(super) fn is_describing(&self, header: FrameHeader) -> bool {
        matches!(header.tag, tag::PARAMETER_DESCRIPTION | tag::ROW_DESCRIPTION)
            && header.total() <= MAX_DESCRIPTION
            && self.outstanding.head().is_some_and(|head| head.subject.described().is_some())
    }

    /// It is told what a statement looks like: its parameters, then its columns or that it has none. `None`: that is
    /// no answer.
    #[cold]
    pub(super) fn told(
        &mut self,
        mut session: Option<&mut Session>,
        header: FrameHeader,
        body: &[u8],
        patch: &mut Patch,
    ) -> Option<Reply> {
        let last = header.tag != tag::PARAMETER_DESCRIPTION;
        let Expected { subject, ours, client_op, .. } = self.outstanding.tell(last)?;
        // A Bind that should have failed has none.
        let id = subject.described().filter(|_| header.tag != tag::BIND_COMPLETE)?;
        // Before the end it is not certain that there is anything to tell.
        let at_once = ours || !matches!(subject, Subject::FirstDescription(_)) || session.is_none();
        if last {
            self.shape = Some(self.shape?.with_columns(header, body));
            if let Some(session) = session.as_deref_mut() {
                session.is_proven(self);
            }
            settle_description(self, session.filter(|_| client_op), id, true);
        } else {
            self.shape = Some(Shape::of_parameters(header, body));
            self.parameters_told.clear();
        }
        if at_once {
            return Some(if ours { Reply::Swallow } else { Reply::Forward });
        }
        write_message(&mut self.parameters_told, header.tag, body);
        if last {
            patch.to_client.append(&mut self.parameters_told);
        }
        Some(Reply::Swallow)
    }
}

/// A question what a statement looks like was answered, or dropped. `asker`: the client, if it was its own.
#[cold]
pub(super) fn settle_description(server: &mut Server, asker: Option<&mut Session>, id: u64, answered: bool) {
    let shape = server.shape.take().filter(|_| answered);
    server.statements.described(id, shape);
    let Some(session) = asker else { return };
    let statements = session.statements_mut();
    if shape.is_some() { statements.confirm(shape) } else { statements.forget() }
}

impl Session {
    /// What `name` will stand for, and what the client was told of it.
    #[inline]
    pub(super) fn known(&self, name: &[u8]) -> Option<(Arc<Statement>, Told)> {
        let (statement, told) = self.statements.as_ref()?.resolve(name)?;
        Some((Arc::clone(statement), told))
    }

    /// What `name` stands for, under the number that its text has now.
    #[inline]
    pub(super) fn renew(
        &mut self,
        server: &mut Server,
        name: &[u8],
        statement: Arc<Statement>,
        patch: &mut Patch,
    ) -> Arc<Statement> {
        if statement.is_retired() { self.renumber(server, name, &statement, patch) } else { statement }
    }

    #[cold]
    fn renumber(
        &mut self,
        server: &mut Server,
        name: &[u8],
        retired: &Statement,
        patch: &mut Patch,
    ) -> Arc<Statement> {
        if server.statements.is_settled(retired.id) {
            send_close(server, retired.id, patch);
        }
        let successor = self.rules.registry.successor(retired);
        self.statements_mut().renumber(name, &successor);
        successor
    }

    /// Asks what a statement looks like that will be there. `anew`: if it is out of date, nothing is lost, and it can
    /// be prepared anew.
    #[cold]
    pub(super) fn ask_for_shape(
        server: &mut Server,
        statement: &Arc<Statement>,
        anew: bool,
        patch: &mut Patch,
    ) {
        frontend::write_describe(&mut patch.to_server, TargetKind::Statement, statement.name());
        frontend::write_flush(&mut patch.to_server);
        server.statements.describe_sent(statement.id);
        let subject =
            if anew { Subject::FirstDescription(statement.id) } else { Subject::Description(statement.id) };
        server.outstanding.push(Expected { subject, ..Expected::ours(Kind::Describe) });
    }
}

/// What is prepared under the number that a message meant is of no use any more.
pub(super) fn is_out_of_date(error: &ErrorResponse) -> bool {
    let field = |kind| error.other.iter().find(|(k, _)| *k == kind).map(|(_, value)| value.as_slice());
    match error.code {
        SqlState::FEATURE_NOT_SUPPORTED => field(b'R') == Some(ROUTINE.as_bytes()),
        SqlState::INSUFFICIENT_PRIVILEGE => false,
        // Analysed anew with the parameter types it was given first, it makes no sense; without them it may.
        code => code.as_bytes().starts_with(b"42"),
    }
}

/// What PostgreSQL says when a statement does not look like it was told; `status`: before it.
pub(super) fn another_shape(status: TransactionStatus) -> ErrorResponse {
    if status == TransactionStatus::Failed {
        let text = "current transaction is aborted, commands ignored until end of transaction block";
        return ErrorResponse::new(Severity::Error, SqlState::IN_FAILED_SQL_TRANSACTION, text);
    }
    let text = "cached plan must not change result type";
    let error = ErrorResponse::new(Severity::Error, SqlState::FEATURE_NOT_SUPPORTED, text);
    // Drivers look at it to tell this from other things that are not supported.
    ErrorResponse { other: vec![(b'R', ROUTINE.into())], ..error }
}

/// The function of PostgreSQL that says so.
const ROUTINE: &str = "RevalidateCachedQuery";
/// What of a column in a RowDescription stands behind its name, and how much of that is the table's.
const COLUMN: usize = 18;
const TABLE: usize = 6;
/// Longest description that is waited for: PostgreSQL has at most 65,535 parameters and 1,664 columns.
const MAX_DESCRIPTION: usize = 512 * 1024;
