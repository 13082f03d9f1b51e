//! SELECT of functions that change or show a session.

use crate::question;
use crate::run::{Done, Outcome};
use crate::session::Session;
use crate::token::Token;

impl Session {
    /// SELECT `rest`; `None`: it calls none of these functions.
    pub(crate) fn call(&mut self, rest: &[Token]) -> Option<Outcome> {
        let mut row = Vec::new();
        for (function, arguments) in calls(rest)? {
            let text = |index: usize| arguments.get(index).map(|words| literal(words)).unwrap_or_default();
            let value = match function.as_str() {
                "set_config" => {
                    let local = arguments
                        .get(2)
                        .is_some_and(|words| words.first().is_some_and(|word| word.is("true")));
                    let name = text(0).to_lowercase();
                    if let Err(error) = self.now.settings.set(&name, &text(1), local, &self.defaults) {
                        return Some(Err(error));
                    }
                    text(1)
                }
                "pg_advisory_lock" => {
                    *self.locks.entry(text(0)).or_default() += 1;
                    String::new()
                }
                "pg_advisory_unlock" => self.unlock(&text(0)).to_string(),
                "pg_advisory_unlock_all" => {
                    self.locks.clear();
                    String::new()
                }
                "session" => self.to_string(),
                _ => return None,
            };
            row.push(Some(value.into_bytes()));
        }
        Some(Ok(Done::rows(vec![row])))
    }

    fn unlock(&mut self, key: &str) -> bool {
        let Some(held) = self.locks.get_mut(key) else { return false };
        *held -= 1;
        if *held == 0 {
            self.locks.remove(key);
        }
        true
    }
}

/// `[pg_catalog.]name(argument, …), …`
fn calls(mut rest: &[Token]) -> Option<Vec<(String, Vec<Vec<Token>>)>> {
    let mut all = Vec::new();
    loop {
        if let [schema, Token::Sign('.'), ..] = rest
            && schema.is("pg_catalog")
        {
            rest = &rest[2..];
        }
        let [Token::Word(name), Token::Sign('('), arguments @ ..] = rest else { return None };
        let mut split = vec![Vec::new()];
        let mut depth = 0;
        let mut end = None;
        for (at, token) in arguments.iter().enumerate() {
            match token {
                Token::Sign(')') if depth == 0 => {
                    end = Some(at);
                    break;
                }
                Token::Sign(',') if depth == 0 => split.push(Vec::new()),
                token => {
                    depth += i32::from(*token == Token::Sign('(')) - i32::from(*token == Token::Sign(')'));
                    split.last_mut()?.push(token.clone());
                }
            }
        }
        all.push((name.clone(), split));
        match &arguments[end? + 1..] {
            [] => return Some(all),
            [Token::Sign(','), more @ ..] => rest = more,
            _ => return None,
        }
    }
}

/// The first string or word in it; one that is to be decoded is.
pub(crate) fn literal(words: &[Token]) -> String {
    let text =
        words.iter().find_map(|word| if let Token::Text(text) = word { Some(text.clone()) } else { None });
    match text {
        Some(text) if words.iter().any(|word| word.is("decode")) => question::unescape(&text),
        Some(text) => text,
        None => words.first().map(Token::value).unwrap_or_default(),
    }
}
