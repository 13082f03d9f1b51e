//! What drivers say to any PostgreSQL before, between and after what their user wanted.
//!
//! Nothing here has a consequence: the console has no transactions and no session settings. It says what
//! keeps drivers content, so that `psql`, psycopg, JDBC and the like can read its tables.

use super::lexer::Token;
use crate::show::{Column, Kind};

/// A statement answered without consequence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Chatter {
    /// SHOW of a PostgreSQL setting.
    Show(&'static Parameter),
    /// SET or RESET of one; PgBouncer's own fakes are answered with a notice.
    Set { notice: bool, tag: &'static str },
    /// BEGIN and its kin: only the status byte changes.
    Transaction(Transaction),
    /// SELECT of something every PostgreSQL knows.
    Select(Constant),
    /// Drops the statement of that name, or all of them.
    Deallocate { name: Option<String>, tag: &'static str },
    /// CLOSE ALL, UNLISTEN *, SAVEPOINT: there is nothing to close or to go back to.
    Nothing(&'static str),
}

impl Chatter {
    pub(super) fn columns(&self) -> Option<&[Column]> {
        match self {
            Chatter::Show(parameter) => Some(std::slice::from_ref(&parameter.column)),
            Chatter::Select(constant) => Some(constant.columns()),
            Chatter::Set { .. }
            | Chatter::Transaction(_)
            | Chatter::Deallocate { .. }
            | Chatter::Nothing(_) => None,
        }
    }
}

/// Where a transaction block begins or ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transaction {
    Begin,
    Start,
    Commit,
    Rollback,
}

impl Transaction {
    /// Whether a block is open after it.
    pub(crate) fn opens(self) -> bool {
        matches!(self, Transaction::Begin | Transaction::Start)
    }

    pub(crate) fn tag(self) -> &'static str {
        match self {
            Transaction::Begin => "BEGIN",
            Transaction::Start => "START TRANSACTION",
            Transaction::Commit => "COMMIT",
            Transaction::Rollback => "ROLLBACK",
        }
    }
}

/// What a SELECT without a table may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Constant {
    /// A number: what health checks select.
    Number(u32),
    CurrentUser,
    CurrentDatabase,
    CurrentSchema,
    /// `pg_advisory_unlock_all()`, part of asyncpg's reset.
    UnlockAll,
}

impl Constant {
    pub(crate) fn columns(self) -> &'static [Column] {
        match self {
            Constant::Number(_) => &[Column { name: "?column?", kind: Kind::Int4 }],
            Constant::CurrentUser => &[Column { name: "current_user", kind: Kind::Text }],
            Constant::CurrentDatabase => &[Column { name: "current_database", kind: Kind::Text }],
            Constant::CurrentSchema => &[Column { name: "current_schema", kind: Kind::Text }],
            Constant::UnlockAll => &[Column { name: "pg_advisory_unlock_all", kind: Kind::Text }],
        }
    }
}

/// A PostgreSQL setting that drivers read or write.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Parameter {
    pub(crate) column: Column,
    pub(crate) value: &'static str,
    /// PgBouncer fakes it too, and says "SET ignored".
    notice: bool,
}

/// Recognises a driver's statement.
pub(super) fn recognise(tokens: &[Token]) -> Option<Chatter> {
    let (first, rest) = tokens.split_first()?;
    let Token::Word(first) = first else { return None };
    match first.to_ascii_uppercase().as_str() {
        "SHOW" => show(rest),
        "SELECT" => select(rest),
        "SET" => set(rest),
        "RESET" => reset(rest),
        "BEGIN" => Some(Chatter::Transaction(Transaction::Begin)),
        "START" if starts(rest, &["TRANSACTION"]) => Some(Chatter::Transaction(Transaction::Start)),
        "COMMIT" | "END" => Some(Chatter::Transaction(Transaction::Commit)),
        "SAVEPOINT" => Some(Chatter::Nothing("SAVEPOINT")),
        "RELEASE" => Some(Chatter::Nothing("RELEASE")),
        // To a savepoint: the block stays open.
        "ROLLBACK" if rest.iter().any(|token| starts(std::slice::from_ref(token), &["TO"])) => {
            Some(Chatter::Nothing("ROLLBACK"))
        }
        "ROLLBACK" | "ABORT" => Some(Chatter::Transaction(Transaction::Rollback)),
        "DISCARD" if is(rest, &["ALL"]) => Some(Chatter::Deallocate { name: None, tag: "DISCARD ALL" }),
        "DEALLOCATE" => deallocate(rest),
        "CLOSE" if is(rest, &["ALL"]) => Some(Chatter::Nothing("CLOSE CURSOR ALL")),
        "UNLISTEN" if rest == [Token::Sign('*')] => Some(Chatter::Nothing("UNLISTEN")),
        _ => None,
    }
}

fn show(rest: &[Token]) -> Option<Chatter> {
    let name = match rest {
        [Token::Word(name) | Token::Quoted(name)] => name.as_str(),
        _ if is(rest, &["TRANSACTION", "ISOLATION", "LEVEL"]) => "transaction_isolation",
        _ if is(rest, &["TIME", "ZONE"]) => "timezone",
        _ => return None,
    };
    parameter(name).map(Chatter::Show)
}

fn select(rest: &[Token]) -> Option<Chatter> {
    let (Token::Word(name), arguments) = rest.split_first()? else { return None };
    let name = name.to_ascii_lowercase();
    let name = name.strip_prefix("pg_catalog.").unwrap_or(&name);
    let constant = match arguments {
        [] => match name {
            "current_user" | "user" | "session_user" => Constant::CurrentUser,
            "current_schema" => Constant::CurrentSchema,
            _ => Constant::Number(name.parse().ok().filter(|number| i32::try_from(*number).is_ok())?),
        },
        [Token::Sign('('), Token::Sign(')')] => match name {
            "current_schema" => Constant::CurrentSchema,
            "current_database" => Constant::CurrentDatabase,
            "pg_advisory_unlock_all" => Constant::UnlockAll,
            _ => return None,
        },
        _ => return None,
    };
    Some(Chatter::Select(constant))
}

fn set(rest: &[Token]) -> Option<Chatter> {
    let silent = Some(Chatter::Set { notice: false, tag: "SET" });
    if starts(rest, &["SESSION", "CHARACTERISTICS"]) || starts(rest, &["TRANSACTION"]) {
        return silent;
    }
    let rest = match rest {
        [Token::Word(scope), rest @ ..]
            if scope.eq_ignore_ascii_case("SESSION") || scope.eq_ignore_ascii_case("LOCAL") =>
        {
            rest
        }
        rest => rest,
    };
    if starts(rest, &["NAMES"]) || starts(rest, &["TIME", "ZONE"]) {
        return silent;
    }
    let [Token::Word(name) | Token::Quoted(name), ..] = rest else { return None };
    let known = parameter(name)?;
    Some(Chatter::Set { notice: known.notice, tag: "SET" })
}

fn reset(rest: &[Token]) -> Option<Chatter> {
    let known = match rest {
        [Token::Word(name) | Token::Quoted(name)] => {
            name.eq_ignore_ascii_case("ALL") || parameter(name).is_some()
        }
        _ => is(rest, &["SESSION", "AUTHORIZATION"]) || is(rest, &["TIME", "ZONE"]),
    };
    known.then_some(Chatter::Set { notice: false, tag: "RESET" })
}

fn deallocate(rest: &[Token]) -> Option<Chatter> {
    let rest = if starts(rest, &["PREPARE"]) { rest.get(1..)? } else { rest };
    match rest {
        [Token::Word(all)] if all.eq_ignore_ascii_case("ALL") => {
            Some(Chatter::Deallocate { name: None, tag: "DEALLOCATE ALL" })
        }
        // As in SQL: bare names are folded, quoted ones are not.
        [Token::Word(name)] => {
            Some(Chatter::Deallocate { name: Some(name.to_ascii_lowercase()), tag: "DEALLOCATE" })
        }
        [Token::Quoted(name)] => Some(Chatter::Deallocate { name: Some(name.clone()), tag: "DEALLOCATE" }),
        _ => None,
    }
}

fn parameter(name: &str) -> Option<&'static Parameter> {
    PARAMETERS.iter().find(|known| known.column.name.eq_ignore_ascii_case(name))
}

/// `tokens` are exactly these keywords.
fn is(tokens: &[Token], keywords: &[&str]) -> bool {
    tokens.len() == keywords.len() && starts(tokens, keywords)
}

/// `tokens` begin with these keywords.
fn starts(tokens: &[Token], keywords: &[&str]) -> bool {
    tokens.len() >= keywords.len()
        && tokens
            .iter()
            .zip(keywords)
            .all(|(token, keyword)| matches!(token, Token::Word(word) if word.eq_ignore_ascii_case(keyword)))
}

const fn faked(name: &'static str, value: &'static str) -> Parameter {
    Parameter { column: Column { name, kind: Kind::Text }, value, notice: true }
}

const fn silent(name: &'static str, value: &'static str) -> Parameter {
    Parameter { column: Column { name, kind: Kind::Text }, value, notice: false }
}

/// The first six are PgBouncer's. No name here is a setting of Howdah: SET must reach those.
static PARAMETERS: [Parameter; 19] = [
    faked("client_encoding", "UTF-8"),
    faked("default_transaction_isolation", "read committed"),
    faked("standard_conforming_strings", "on"),
    faked("datestyle", "ISO"),
    faked("timezone", "GMT"),
    faked("extra_float_digits", "2"),
    silent("application_name", ""),
    silent("bytea_output", "hex"),
    silent("client_min_messages", "notice"),
    silent("default_transaction_read_only", "off"),
    silent("idle_in_transaction_session_timeout", "0"),
    silent("intervalstyle", "postgres"),
    silent("lock_timeout", "0"),
    silent("search_path", "public"),
    silent("server_version", crate::SERVER_VERSION),
    silent("statement_timeout", "0"),
    silent("synchronize_seqscans", "on"),
    silent("transaction_isolation", "read committed"),
    silent("transaction_read_only", "off"),
];
