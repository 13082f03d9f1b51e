//! What a message that was sent is answered with, and what hangs on it.

/// One message that was sent and the reply it will get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expected {
    /// Which message it was.
    pub kind: Kind,
    /// What it is about.
    pub subject: Subject,
    /// Sent by Howdah on its own account: the reply is swallowed.
    pub ours: bool,
    /// Not sent at all: Howdah gives this reply itself when its turn comes.
    pub given: bool,
    /// It may commit: never cancelled because its client vanished.
    pub commits: bool,
    /// It may make all prepared statements vanish.
    pub clears: bool,
    /// An operation on the client's own statement names hangs on it.
    pub client_op: bool,
}

/// The kinds of message that are answered, and the marks that COPY needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Query.
    Query,
    /// FunctionCall.
    FunctionCall,
    /// Parse.
    Parse,
    /// Bind.
    Bind,
    /// Describe.
    Describe,
    /// Execute.
    Execute,
    /// Close.
    Close,
    /// Sync.
    Sync,
    /// CopyData: answered by nothing, it only has a place.
    CopyData,
    /// CopyDone or CopyFail: answered by nothing, it only has a place.
    CopyEnd,
}

/// The statement that a message is about, as far as somebody has to know how it went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// Nothing of interest.
    None,
    /// The unnamed statement, the client's n-th.
    Unnamed(u64),
    /// The statement with this number.
    Statement(u64),
    /// It is used: its Bind.
    Used(u64),
    /// The same, and it has to prove that it is not out of date.
    Proof(u64),
    /// What it looks like.
    Description(u64),
    /// The same, and nothing came before it: it can be asked once more.
    FirstDescription(u64),
    /// A Bind that must fail: the statement does not look as the client was told.
    Another,
    /// A name the client has given away already: this Parse must fail.
    Taken,
    /// It was refused by Howdah, which has sent something that must fail in its place.
    Refused,
    /// Howdah prepares or closes a statement by a name that SQL knows.
    SqlName,
    /// Howdah asks what the session looks like.
    Look,
    /// Howdah tries the settings of a client that wants to come in.
    Trial,
    /// Howdah asks what the database's functions do.
    Survey,
    /// The end of a batch of Howdah's own, which may fail without anybody being told.
    Attempt,
    /// Howdah gives the session something it should have. In a transaction that has failed it cannot, and
    /// need not.
    Correction,
}

impl Expected {
    /// A message of the client's.
    #[must_use]
    pub fn theirs(kind: Kind) -> Expected {
        Expected {
            kind,
            subject: Subject::None,
            ours: false,
            given: false,
            commits: false,
            clears: false,
            client_op: false,
        }
    }

    /// A message of Howdah's.
    #[must_use]
    pub fn ours(kind: Kind) -> Expected {
        Expected { ours: true, ..Expected::theirs(kind) }
    }

    /// It belongs to a batch that Sync has to end.
    pub(super) fn opens_batch(&self) -> bool {
        let extended =
            matches!(self.kind, Kind::Parse | Kind::Bind | Kind::Describe | Kind::Execute | Kind::Close);
        extended && !self.given
    }

    /// The answer is of interest for what it says about a statement.
    #[inline]
    pub(super) fn is_delicate(&self) -> bool {
        matches!(self.subject, Subject::Description(_) | Subject::FirstDescription(_) | Subject::Another)
    }

    pub(super) fn ends_with_ready(&self) -> bool {
        matches!(self.kind, Kind::Sync | Kind::Query | Kind::FunctionCall)
    }
}

impl Subject {
    /// The statement whose looks are asked for.
    pub(in crate::session) fn described(self) -> Option<u64> {
        match self {
            Subject::Description(id) | Subject::FirstDescription(id) => Some(id),
            _ => None,
        }
    }
}
