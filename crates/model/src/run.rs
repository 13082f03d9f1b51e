//! The statements that change or show a session.

use howdah_wire::backend::TransactionStatus;

use crate::session::{Prepared, Session, Undoable};
use crate::token::{Token, tokens};
use crate::{SqlError, question};

/// How a statement went that succeeded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// For CommandComplete.
    pub tag: String,
    /// Its rows, if it is one that has any.
    pub rows: Option<Vec<Vec<Option<Vec<u8>>>>>,
    /// A warning: SQLSTATE and text.
    pub warning: Option<(&'static str, &'static str)>,
    /// This is to be run in its stead: what EXECUTE stands for.
    pub instead: Option<String>,
}

pub(crate) type Outcome = Result<Done, SqlError>;

impl Session {
    /// Runs one statement; `in_message`: others stand before or behind it in its simple query. `None`: it is none
    /// of those that change or show a session.
    pub fn run(&mut self, statement: &str, in_message: bool) -> Option<Outcome> {
        let words = tokens(statement);
        let Some(Token::Word(verb)) = words.first() else { return None };
        let rest = &words[1..];
        self.begin();
        Some(match verb.as_str() {
            "begin" | "commit" | "rollback" | "savepoint" | "release" => self.transaction(verb, rest)?,
            "set" => self.set(rest, in_message)?,
            "reset" => self.reset(rest),
            "show" => self.show(rest),
            "select" => {
                return question::answer(self, rest)
                    .map(|rows| rows.map(Done::rows))
                    .or_else(|| self.call(rest));
            }
            "prepare" => self.prepare(statement, rest)?,
            "execute" => self.execute(rest),
            "deallocate" => self.deallocate(rest),
            "discard" => self.discard(rest, in_message)?,
            "create" => self.create(rest)?,
            "drop" => self.drop(rest)?,
            "declare" => self.declare(rest)?,
            "close" => self.close(rest),
            "listen" | "unlisten" => {
                let channel = rest.first().filter(|first| **first != Token::Sign('*')).map(Token::value);
                self.now.pending.push((verb == "listen", channel));
                Ok(Done::tag(&verb.to_uppercase()))
            }
            _ => return None,
        })
    }

    fn set(&mut self, mut rest: &[Token], in_message: bool) -> Option<Outcome> {
        let mut local = false;
        if let [first, Token::Word(_), Token::Word(_) | Token::Text(_) | Token::Sign('=' | '.'), ..] = rest
            && (first.is("local") || first.is("session"))
            && !rest[1].is("authorization")
            && !rest[1].is("to")
        {
            local = first.is("local");
            rest = &rest[1..];
        } else if let [first, second, _, ..] = rest
            && first.is("local")
            && second.is("session")
        {
            local = true;
            rest = &rest[1..];
        }
        let (name, value) = match rest {
            [first, value] if first.is("role") => ("role".to_owned(), value),
            [first, second, value] if first.is("session") && second.is("authorization") => {
                ("session_authorization".to_owned(), value)
            }
            [.., value] => (setting_name(rest.get(..rest.len().checked_sub(2)?)?), value),
            [] => return None,
        };
        let mut done = Done::tag("SET");
        if local && self.status == TransactionStatus::Idle && !in_message {
            done.warning = Some(("25P01", "SET LOCAL can only be used in transaction blocks"));
        }
        let outcome = if value.is("default") {
            self.now.settings.reset(&name, &self.defaults)
        } else {
            self.now.settings.set(&name, &value.value(), local, &self.defaults)
        };
        Some(outcome.map(|()| done))
    }

    fn reset(&mut self, rest: &[Token]) -> Outcome {
        match rest {
            [all] if all.is("all") => self.now.settings.reset_all(),
            [first, second] if first.is("session") && second.is("authorization") => {
                self.now.settings.reset("session_authorization", &self.defaults)?;
            }
            _ => self.now.settings.reset(&setting_name(rest), &self.defaults)?,
        }
        Ok(Done::tag("RESET"))
    }

    fn show(&self, rest: &[Token]) -> Outcome {
        let name = setting_name(rest);
        let unknown = || ("42704", format!("unrecognized configuration parameter \"{name}\""));
        let value = self.setting(&name).ok_or_else(unknown)?;
        Ok(Done { tag: "SHOW".into(), rows: Some(vec![vec![Some(value.into())]]), ..Done::default() })
    }

    fn prepare(&mut self, statement: &str, rest: &[Token]) -> Option<Outcome> {
        let [name, a, _, ..] = rest else { return None };
        if !a.is("as") {
            return None;
        }
        let lower = statement.to_lowercase();
        let text = statement[lower.find(" as ")? + 4..].trim().to_owned();
        let name = name.value();
        if self.prepared.contains_key(name.as_bytes()) {
            return Some(Err(("42P05", format!("prepared statement \"{name}\" already exists"))));
        }
        self.prepared.insert(name.into_bytes(), Prepared { text, by_sql: Some(statement.to_owned()) });
        Some(Ok(Done::tag("PREPARE")))
    }

    fn execute(&mut self, rest: &[Token]) -> Outcome {
        let name = rest.first().map(Token::value).unwrap_or_default();
        let prepared = self.prepared.get(name.as_bytes()).ok_or_else(|| no_statement(&name))?;
        Ok(Done { instead: Some(prepared.text.clone()), ..Done::default() })
    }

    fn deallocate(&mut self, rest: &[Token]) -> Outcome {
        let name = rest.last().map(Token::value).unwrap_or_default();
        if name == "all" {
            self.prepared.clear();
            return Ok(Done::tag("DEALLOCATE ALL"));
        }
        self.prepared.remove(name.as_bytes()).ok_or_else(|| no_statement(&name))?;
        Ok(Done::tag("DEALLOCATE"))
    }

    fn discard(&mut self, rest: &[Token], in_message: bool) -> Option<Outcome> {
        if rest.first()?.is("temp") {
            self.now.temp.clear();
            return Some(Ok(Done::tag("DISCARD TEMP")));
        }
        if self.status != TransactionStatus::Idle || in_message {
            return Some(Err(("25001", "DISCARD ALL cannot run inside a transaction block".to_owned())));
        }
        self.now = Undoable::default();
        self.at_begin = None;
        self.prepared.clear();
        self.locks.clear();
        self.channels.clear();
        Some(Ok(Done::tag("DISCARD ALL")))
    }

    fn create(&mut self, rest: &[Token]) -> Option<Outcome> {
        let [temp, table, name, ..] = rest else { return None };
        if !temp.is("temp") || !table.is("table") {
            return None;
        }
        let name = name.value();
        if self.now.temp.contains(&name) {
            return Some(Err(("42P07", format!("relation \"{name}\" already exists"))));
        }
        self.now.temp.insert(name);
        Some(Ok(Done::tag("CREATE TABLE")))
    }

    fn drop(&mut self, rest: &[Token]) -> Option<Outcome> {
        let [table, name] = rest else { return None };
        if !table.is("table") {
            return None;
        }
        let name = name.value();
        if !self.now.temp.remove(&name) {
            return Some(Err(("42P01", format!("table \"{name}\" does not exist"))));
        }
        Some(Ok(Done::tag("DROP TABLE")))
    }

    fn declare(&mut self, rest: &[Token]) -> Option<Outcome> {
        if !rest.windows(2).any(|pair| pair[0].is("with") && pair[1].is("hold")) {
            return None;
        }
        let name = rest.first().map(Token::value)?;
        if !self.now.cursors.insert(name.clone()) {
            return Some(Err(("42P03", format!("cursor \"{name}\" already exists"))));
        }
        Some(Ok(Done::tag("DECLARE CURSOR")))
    }

    fn close(&mut self, rest: &[Token]) -> Outcome {
        let name = rest.first().map(Token::value).unwrap_or_default();
        if !self.now.cursors.remove(&name) {
            return Err(("34000", format!("cursor \"{name}\" does not exist")));
        }
        Ok(Done::tag("CLOSE CURSOR"))
    }
}

impl Done {
    pub(crate) fn tag(tag: &str) -> Done {
        Done { tag: tag.to_owned(), ..Done::default() }
    }

    pub(crate) fn rows(rows: Vec<Vec<Option<Vec<u8>>>>) -> Done {
        Done { tag: format!("SELECT {}", rows.len()), rows: Some(rows), ..Done::default() }
    }
}

fn setting_name(words: &[Token]) -> String {
    let parts = words.iter().filter(|word| !matches!(word, Token::Sign(_)));
    parts.map(|part| part.value().to_lowercase()).collect::<Vec<_>>().join(".")
}

fn no_statement(name: &str) -> SqlError {
    ("26000", format!("prepared statement \"{name}\" does not exist"))
}
