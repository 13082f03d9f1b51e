//! What does a client send in one write, and how much has to come back?

use crate::raw::message;

/// Messages that leave together.
#[derive(Clone, Debug)]
pub(super) struct Batch(Vec<Item>);

/// One message, with `{A}` for the process id that client A was given.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Item {
    Query(String),
    Parse { name: String, types: Vec<u32>, sql: String },
    Bind { portal: String, statement: String, values: Vec<String> },
    Describe { kind: u8, name: String },
    Execute { portal: String, rows: u32 },
    Close { kind: u8, name: String },
    CopyData(String),
    CopyDone,
    CopyFail(String),
    Flush,
    Sync,
}

impl Batch {
    /// A simple query alone.
    pub(super) fn query(sql: &str) -> Self {
        Self(vec![Item::Query(sql.to_owned())])
    }

    /// Messages divided by ` | `, such as `parse s SELECT $1 | bind s (1) | execute | sync`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut items = Vec::new();
        for item in text.split(" | ").map(str::trim) {
            let (verb, rest) = item.split_once(' ').map_or((item, ""), |(verb, rest)| (verb, rest.trim()));
            items.extend(Item::parse(verb, rest)?);
        }
        Ok(Self(items))
    }

    /// The bytes, with `replace` done to every text.
    pub(super) fn bytes(&self, replace: impl Fn(&str) -> String) -> Vec<u8> {
        self.0.iter().flat_map(|item| item.bytes(&replace)).collect()
    }

    /// How many ReadyForQuery it brings, one that a COPY still owes left aside.
    pub(super) fn readies(&self) -> usize {
        self.0.iter().filter(|item| matches!(item, Item::Query(_) | Item::Sync)).count()
    }

    /// How many replies come without a ReadyForQuery behind them, because the last word is Flush.
    pub(super) fn flushed(&self) -> usize {
        if self.0.last() != Some(&Item::Flush) {
            return 0;
        }
        let since = self.0.iter().rev().take_while(|item| !matches!(item, Item::Query(_) | Item::Sync));
        since.filter(|item| item.is_answered()).count()
    }

    /// Whether it ends the COPY that it may have begun.
    pub(super) fn ends_copy(&self) -> bool {
        self.0.iter().any(|item| matches!(item, Item::CopyDone | Item::CopyFail(_)))
    }
}

impl Item {
    fn parse(verb: &str, rest: &str) -> Result<Vec<Self>, String> {
        let named = |text: &str| if text == "-" { String::new() } else { text.to_owned() };
        let (first, other) = rest.split_once(' ').unwrap_or((rest, ""));
        Ok(vec![match verb {
            "query" => Self::Query(rest.to_owned()),
            "parse" => {
                let (types, sql) = parenthesis(other)?;
                let types = types.iter().map(|oid| oid.parse().map_err(|_| format!("no type: {oid}")));
                Self::Parse {
                    name: named(first),
                    types: types.collect::<Result<_, _>>()?,
                    sql: sql.to_owned(),
                }
            }
            "bind" => {
                let (values, portal) = parenthesis(other)?;
                let portal = portal.strip_prefix("as ").unwrap_or_default();
                Self::Bind { portal: portal.to_owned(), statement: named(first), values }
            }
            "describe" => Self::Describe { kind: b'S', name: named(first) },
            "describe-portal" => Self::Describe { kind: b'P', name: named(first) },
            "execute" => {
                let rows = if other.is_empty() { Ok(0) } else { other.parse() };
                Self::Execute { portal: named(first), rows: rows.map_err(|_| format!("no number: {other}"))? }
            }
            "close" => Self::Close { kind: b'S', name: named(first) },
            "close-portal" => Self::Close { kind: b'P', name: named(first) },
            "copy" => Self::CopyData(rest.replace("\\t", "\t").replace("\\n", "\n")),
            "copydone" => Self::CopyDone,
            "copyfail" => Self::CopyFail(rest.to_owned()),
            "flush" => Self::Flush,
            "sync" => Self::Sync,
            "run" => return Ok(Self::run(rest)),
            _ => return Err(format!("what is {verb:?}?")),
        }])
    }

    /// The unnamed statement, from Parse to Execute.
    fn run(sql: &str) -> Vec<Self> {
        vec![
            Self::Parse { name: String::new(), types: Vec::new(), sql: sql.to_owned() },
            Self::Bind { portal: String::new(), statement: String::new(), values: Vec::new() },
            Self::Describe { kind: b'P', name: String::new() },
            Self::Execute { portal: String::new(), rows: 0 },
        ]
    }

    fn bytes(&self, replace: &impl Fn(&str) -> String) -> Vec<u8> {
        match self {
            Self::Query(sql) => message::query(&replace(sql)),
            Self::Parse { name, types, sql } => message::parse_typed(name, &replace(sql), types),
            Self::Bind { portal, statement, values } => {
                let values: Vec<_> = values.iter().map(|value| replace(value)).collect();
                message::bind(portal, statement, &values.iter().map(String::as_str).collect::<Vec<_>>())
            }
            Self::Describe { kind, name } => message::describe(*kind, name),
            Self::Execute { portal, rows } => message::execute(portal, *rows),
            Self::Close { kind, name } => message::close(*kind, name),
            Self::CopyData(data) => message::copy_data(data.as_bytes()),
            Self::CopyDone => message::copy_done(),
            Self::CopyFail(why) => message::copy_fail(why),
            Self::Flush => message::flush(),
            Self::Sync => message::sync(),
        }
    }

    fn is_answered(&self) -> bool {
        matches!(
            self,
            Self::Parse { .. }
                | Self::Bind { .. }
                | Self::Describe { .. }
                | Self::Execute { .. }
                | Self::Close { .. }
        )
    }
}

/// Divides `(a, b) rest`; without a parenthesis, all is rest.
fn parenthesis(text: &str) -> Result<(Vec<String>, &str), String> {
    let Some(inner) = text.strip_prefix('(') else { return Ok((Vec::new(), text)) };
    let (inner, rest) = inner.split_once(')').ok_or_else(|| format!("an open parenthesis: {text}"))?;
    Ok((inner.split(", ").map(str::to_owned).collect(), rest.trim()))
}
