//! Which words does the text consist of? Comments vanish, quotes are undone, statements end at `;`.
//!
//! A word is wider here than in SQL: `my-db`, `127.0.0.1` and `/tmp` need no quotes, since a console has
//! names and values but no arithmetic. Case is kept; keywords are compared without it.

use super::CommandError;

/// One word or sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// Bare word or number.
    Word(String),
    /// `"word"`.
    Quoted(String),
    /// `'text'`.
    Text(String),
    /// Anything else, one character.
    Sign(char),
}

/// The tokens of one statement and the text they came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Statement<'a> {
    pub(super) text: &'a str,
    pub(super) tokens: Vec<Token>,
}

/// Splits `text` into statements; those without any token are left out.
pub(super) fn statements(text: &str) -> Result<Vec<Statement<'_>>, CommandError> {
    let mut found = Vec::new();
    let mut lexer = Lexer { rest: text };
    let mut from = text;
    let mut tokens = Vec::new();
    loop {
        let before = lexer.rest;
        let token = lexer.next()?;
        match token {
            Some(Token::Sign(';')) | None => {
                let length = from.len() - before.len();
                let text = from.get(..length).expect("both are suffixes of one text").trim();
                if !tokens.is_empty() {
                    found.push(Statement { text, tokens: std::mem::take(&mut tokens) });
                }
                if token.is_none() {
                    return Ok(found);
                }
                from = lexer.rest;
            }
            Some(token) => tokens.push(token),
        }
    }
}

struct Lexer<'a> {
    rest: &'a str,
}

impl Lexer<'_> {
    fn next(&mut self) -> Result<Option<Token>, CommandError> {
        self.skip_blank()?;
        let Some(first) = self.rest.chars().next() else { return Ok(None) };
        Ok(Some(match first {
            '\'' => Token::Text(self.quoted('\'', "quoted string")?),
            '"' => Token::Quoted(self.quoted('"', "quoted identifier")?),
            _ => {
                let word = self.word();
                let parameter =
                    word.strip_prefix('$').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
                if parameter {
                    return Err(CommandError::Parameter);
                }
                if word.is_empty() {
                    self.advance(first.len_utf8());
                    Token::Sign(first)
                } else {
                    let word = word.to_owned();
                    self.advance(word.len());
                    Token::Word(word)
                }
            }
        }))
    }

    fn word(&self) -> &str {
        let mut end = self.rest.len();
        for (at, c) in self.rest.char_indices() {
            let tail = self.rest.get(at..).unwrap_or_default();
            let belongs = c.is_ascii_alphanumeric() || "_$-./:@+".contains(c) || !c.is_ascii();
            if !belongs || c.is_whitespace() || tail.starts_with("--") || tail.starts_with("/*") {
                end = at;
                break;
            }
        }
        self.rest.get(..end).unwrap_or_default()
    }

    fn quoted(&mut self, quote: char, what: &'static str) -> Result<String, CommandError> {
        self.advance(1);
        let mut content = String::new();
        loop {
            let end = self.rest.find(quote).ok_or(CommandError::Unterminated(what))?;
            content.push_str(self.rest.get(..end).unwrap_or_default());
            self.advance(end + 1);
            if !self.rest.starts_with(quote) {
                return Ok(content);
            }
            content.push(quote);
            self.advance(1);
        }
    }

    fn skip_blank(&mut self) -> Result<(), CommandError> {
        loop {
            self.rest = self.rest.trim_start();
            if self.rest.starts_with("--") {
                self.advance(self.rest.find('\n').unwrap_or(self.rest.len()));
            } else if self.rest.starts_with("/*") {
                self.skip_block_comment()?;
            } else {
                return Ok(());
            }
        }
    }

    fn skip_block_comment(&mut self) -> Result<(), CommandError> {
        let mut depth = 0_usize;
        loop {
            let unterminated = CommandError::Unterminated("/* comment");
            if self.rest.starts_with("/*") {
                depth += 1;
                self.advance(2);
            } else if self.rest.starts_with("*/") {
                depth -= 1;
                self.advance(2);
                if depth == 0 {
                    return Ok(());
                }
            } else {
                let next = self.rest.chars().next().ok_or(unterminated)?;
                self.advance(next.len_utf8());
            }
        }
    }

    fn advance(&mut self, bytes: usize) {
        self.rest = self.rest.get(bytes..).unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<Vec<Token>> {
        statements(text).unwrap().into_iter().map(|statement| statement.tokens).collect()
    }

    #[test]
    fn statements_end_at_semicolons_outside_quotes() {
        let word = |w: &str| Token::Word(w.to_owned());
        assert_eq!(
            words("PAUSE \"a;\"\"b\"; ;set x='1;''2'"),
            [
                vec![word("PAUSE"), Token::Quoted("a;\"b".into())],
                vec![word("set"), word("x"), Token::Sign('='), Token::Text("1;'2".into())],
            ]
        );
        assert_eq!(statements(" SHOW pools ; KILL x").unwrap()[0].text, "SHOW pools");
        assert_eq!(statements(" SHOW pools ; KILL x ").unwrap()[1].text, "KILL x");
    }

    #[test]
    fn comments_vanish_and_may_nest() {
        assert_eq!(words("-- ping"), Vec::<Vec<Token>>::new());
        assert_eq!(words("show/* a /* b */ ; */pools--x\n;"), words("show pools"));
        assert_eq!(statements("show /* a"), Err(CommandError::Unterminated("/* comment")));
        assert_eq!(statements("kill 'x"), Err(CommandError::Unterminated("quoted string")));
    }

    #[test]
    fn names_and_addresses_need_no_quotes() {
        let word = |w: &str| Token::Word(w.to_owned());
        assert_eq!(words("PAUSE my-db"), [vec![word("PAUSE"), word("my-db")]]);
        assert_eq!(words("x=127.0.0.1"), [vec![word("x"), Token::Sign('='), word("127.0.0.1")]]);
        assert_eq!(words("PAUSE käse"), [vec![word("PAUSE"), word("käse")]]);
    }

    #[test]
    fn a_parameter_is_not_a_name() {
        assert_eq!(statements("PAUSE $1"), Err(CommandError::Parameter));
        assert_eq!(words("PAUSE $x"), [vec![Token::Word("PAUSE".into()), Token::Word("$x".into())]]);
    }
}
