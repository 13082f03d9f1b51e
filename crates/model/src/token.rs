//! The words of a text.

/// A word, a string, or whatever else stands alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    /// In lower case unless it was quoted.
    Word(String),
    Text(String),
    Sign(char),
}

impl Token {
    pub(crate) fn is(&self, word: &str) -> bool {
        matches!(self, Token::Word(own) if own == word)
    }

    /// What it names or means.
    pub(crate) fn value(&self) -> String {
        match self {
            Token::Word(text) | Token::Text(text) => text.clone(),
            Token::Sign(sign) => sign.to_string(),
        }
    }
}

/// The statements of a text, without those that are empty.
#[must_use]
pub fn statements(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let end = token_ends(rest).find(|&(begin, _)| rest[begin..].starts_with(';')).map(|(begin, _)| begin);
        let (statement, behind) = end.map_or((rest, ""), |end| (&rest[..end], &rest[end + 1..]));
        if token_ends(statement).next().is_some() {
            found.push(statement.trim());
        }
        rest = behind;
    }
    found
}

pub(crate) fn tokens(text: &str) -> Vec<Token> {
    token_ends(text).map(|(begin, end)| token(&text[begin..end])).collect()
}

/// Where tokens begin and end.
fn token_ends(text: &str) -> impl Iterator<Item = (usize, usize)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        at += text[at..].len() - text[at..].trim_start().len();
        let first = text[at..].chars().next()?;
        let begin = at;
        let is_word = |letter: char| letter.is_alphanumeric() || matches!(letter, '_' | '$');
        at = match first {
            'E' if text[at + 1..].starts_with('\'') => quoted_end(text, at + 1, '\'', true),
            '\'' | '"' => quoted_end(text, at, first, false),
            _ if is_word(first) => at + text[at..].find(|letter| !is_word(letter)).unwrap_or(text.len() - at),
            _ => at + first.len_utf8(),
        };
        Some((begin, at))
    })
}

fn quoted_end(text: &str, begin: usize, quote: char, escapes: bool) -> usize {
    let mut letters = text[begin + 1..].char_indices().peekable();
    while let Some((at, letter)) = letters.next() {
        if escapes && letter == '\\' {
            letters.next();
        } else if letter == quote && letters.next_if(|&(_, next)| next == quote).is_none() {
            return begin + 1 + at + 1;
        }
    }
    text.len()
}

fn token(text: &str) -> Token {
    let inside = |text: &str, quote: &str| {
        text.strip_prefix(quote).and_then(|text| text.strip_suffix(quote)).map(str::to_owned)
    };
    if let Some(name) = inside(text, "\"") {
        return Token::Word(name.replace("\"\"", "\""));
    }
    if let Some(value) = inside(text, "'") {
        return Token::Text(value.replace("''", "'"));
    }
    if let Some(value) = text.strip_prefix('E').and_then(|text| inside(text, "'")) {
        return Token::Text(value.replace("''", "'").replace("\\\\", "\\"));
    }
    match text.chars().next() {
        Some(letter) if !letter.is_alphanumeric() && letter != '_' => Token::Sign(letter),
        _ => Token::Word(text.to_lowercase()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_taken_apart() {
        assert_eq!(statements(" a 'x;y' ; ;b \";\";"), ["a 'x;y'", "b \";\""]);
        let words = tokens(r#"SET app."X y" = E'o''\\303', 1"#);
        let word = |text: &str| Token::Word(text.to_owned());
        assert_eq!(words[..4], [word("set"), word("app"), Token::Sign('.'), word("X y")]);
        assert_eq!(
            words[4..],
            [Token::Sign('='), Token::Text(r"o'\303".to_owned()), Token::Sign(','), word("1")]
        );
    }
}
