//! PostgreSQL's tokens, as far as needed to know where a statement ends.
//!
//! Comments, strings and quoted names are passed over, words are handed out, everything else is nothing in
//! particular. Whether a backslash escapes the quote after it can depend on `standard_conforming_strings` and on
//! the client's encoding, which are not known here: then the lexer reads on as with PostgreSQL's defaults and is
//! [in doubt](Lexer::doubt).

use super::keyword::{Keyword, keyword};

/// Reads tokens from the front of a text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lexer<'a> {
    rest: &'a [u8],
    /// Something before this place could also be read in another way, or was not terminated.
    pub(super) doubt: bool,
}

/// A token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// A keyword or a name without quotes.
    Word(Keyword),
    /// `;`
    Semicolon,
    /// `(`
    Open,
    /// `)`
    Close,
    /// A string, a quoted name, or a byte of anything else.
    Other,
}

/// A token as it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece<'a> {
    pub(super) token: Token,
    pub(super) text: &'a [u8],
}

impl Piece<'_> {
    /// Whether it is this word, given in small letters, or this sign.
    pub(super) fn is(self, text: &str) -> bool {
        self.text.eq_ignore_ascii_case(text.as_bytes())
    }
}

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a [u8]) -> Lexer<'a> {
        Lexer { rest: text, doubt: false }
    }

    /// The next token with the text it was read from.
    #[inline]
    pub(super) fn piece(&mut self) -> Option<Piece<'a>> {
        self.skip_blank();
        let from = self.rest;
        let token = self.token_here()?;
        let text = from.get(..from.len() - self.rest.len()).unwrap_or_default();
        Some(Piece { token, text })
    }

    /// How many bytes there are after the last token.
    pub(super) fn remaining(&self) -> usize {
        self.rest.len()
    }

    #[inline]
    pub(super) fn token(&mut self) -> Option<Token> {
        self.skip_blank();
        self.token_here()
    }

    /// The token that begins here, after all white space.
    #[inline]
    fn token_here(&mut self) -> Option<Token> {
        let (&first, after) = self.rest.split_first()?;
        if is_word_start(first) {
            return Some(self.word());
        }
        self.rest = after;
        Some(match first {
            b';' => Token::Semicolon,
            b'(' => Token::Open,
            b')' => Token::Close,
            b'\'' => self.plain_string(),
            b'"' => self.quoted_name(),
            b'$' => self.dollar(),
            _ => Token::Other,
        })
    }

    /// Passes over white space and comments; reports whether a line ended among them.
    #[inline]
    fn skip_blank(&mut self) -> bool {
        let mut line_ended = false;
        loop {
            match self.rest {
                [b'\n' | b'\r', after @ ..] => {
                    line_ended = true;
                    self.rest = after;
                }
                [b' ' | b'\t' | 0x0b | 0x0c, after @ ..] => self.rest = after,
                [b'-', b'-', after @ ..] => {
                    let end = memchr::memchr2(b'\n', b'\r', after).unwrap_or(after.len());
                    self.rest = after.get(end..).unwrap_or_default();
                }
                [b'/', b'*', after @ ..] => {
                    self.rest = after;
                    self.block_comment();
                }
                _ => return line_ended,
            }
        }
    }

    /// The rest of a comment that may hold others.
    #[cold]
    fn block_comment(&mut self) {
        let mut depth = 1_usize;
        while depth > 0 {
            let Some(at) = memchr::memchr2(b'*', b'/', self.rest) else { return self.unterminated() };
            self.rest = self.rest.get(at..).unwrap_or_default();
            let (step, by) = match self.rest {
                [b'*', b'/', ..] => (-1, 2),
                [b'/', b'*', ..] => (1, 2),
                _ => (0, 1),
            };
            depth = depth.saturating_add_signed(step);
            self.rest = self.rest.get(by..).unwrap_or_default();
        }
    }

    /// A word, or with `E` directly before a quote a string.
    #[inline]
    fn word(&mut self) -> Token {
        let end = self.rest.iter().position(|byte| !is_word_part(*byte)).unwrap_or(self.rest.len());
        let word = self.rest;
        self.rest = word.get(end..).unwrap_or_default();
        if let ([b'e' | b'E', ..], [b'\'', inside @ ..], 1) = (word, self.rest, end) {
            self.rest = inside;
            return self.escape_string();
        }
        Token::Word(keyword(word, end))
    }

    /// The rest of `'…'`.
    fn plain_string(&mut self) -> Token {
        loop {
            let inside = self.rest;
            let Some(end) = memchr::memchr(b'\'', inside) else {
                self.unterminated();
                return Token::Other;
            };
            self.doubt |= inside.get(..end).is_some_and(|text| text.ends_with(b"\\"));
            self.rest = inside.get(end + 1..).unwrap_or_default();
            match self.rest {
                [b'\'', inside @ ..] => self.rest = inside,
                _ => return Token::Other,
            }
        }
    }

    /// The rest of `E'…'`, in which a backslash escapes. It goes on after a line's end and another quote.
    fn escape_string(&mut self) -> Token {
        loop {
            let inside = self.rest;
            let Some(at) = memchr::memchr2(b'\'', b'\\', inside) else {
                self.unterminated();
                return Token::Other;
            };
            let (before, special) = inside.split_at_checked(at).unwrap_or((inside, &[]));
            match special {
                [b'\\', escaped, after @ ..] => {
                    // In encodings such as Shift JIS this backslash may be the second half of a letter.
                    let half = before.last().is_some_and(|byte| !byte.is_ascii());
                    self.doubt |= half && matches!(escaped, b'\'' | b'\\');
                    self.rest = after;
                }
                [b'\'', b'\'', after @ ..] => self.rest = after,
                [b'\'', after @ ..] => {
                    self.rest = after;
                    let mut further = *self;
                    let [b'\'', inside @ ..] = (if further.skip_blank() { further.rest } else { &[] }) else {
                        return Token::Other;
                    };
                    self.rest = inside;
                }
                _ => self.rest = &[],
            }
        }
    }

    /// The rest of `"…"`.
    fn quoted_name(&mut self) -> Token {
        loop {
            let Some(end) = memchr::memchr(b'"', self.rest) else {
                self.unterminated();
                return Token::Other;
            };
            self.rest = self.rest.get(end + 1..).unwrap_or_default();
            match self.rest {
                [b'"', inside @ ..] => self.rest = inside,
                _ => return Token::Other,
            }
        }
    }

    /// What follows a `$`: the rest of `$tag$…$tag$`, or nothing in particular.
    fn dollar(&mut self) -> Token {
        let after = self.rest;
        let tag_len = after.iter().position(|byte| !is_word_part(*byte) || *byte == b'$');
        let Some((tag, [b'$', inside @ ..])) = tag_len.and_then(|len| after.split_at_checked(len)) else {
            return Token::Other;
        };
        if tag.first().is_some_and(u8::is_ascii_digit) {
            return Token::Other;
        }
        let mut from = inside;
        loop {
            // The closing delimiter is looked for by its second dollar, so that no delimiter need be built.
            let Some(end) = memchr::memchr(b'$', from) else {
                self.unterminated();
                return Token::Other;
            };
            from = from.get(end + 1..).unwrap_or_default();
            if let Some([b'$', after @ ..]) = from.strip_prefix(tag) {
                self.rest = after;
                return Token::Other;
            }
        }
    }

    #[cold]
    fn unterminated(&mut self) {
        self.doubt = true;
        self.rest = &[];
    }
}

/// Bytes above ASCII are letters, whatever the encoding.
#[inline]
pub(super) fn is_word_start(byte: u8) -> bool {
    class(byte) & START != 0
}

#[inline]
pub(super) fn is_word_part(byte: u8) -> bool {
    class(byte) != 0
}

#[inline]
fn class(byte: u8) -> u8 {
    CLASSES.get(usize::from(byte)).copied().unwrap_or_default()
}

/// What each byte can be in a word, so that most of a text takes one look a byte.
const CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut byte = 0_u8;
    let mut rest: &mut [u8] = &mut classes;
    while let [class, after @ ..] = rest {
        *class = match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'_' | 0x80.. => START,
            b'0'..=b'9' | b'$' => PART,
            _ => 0,
        };
        byte = byte.wrapping_add(1);
        rest = after;
    }
    classes
};

const START: u8 = 1;
const PART: u8 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    /// The words of a text in lower case, and whether the lexer was in doubt.
    fn words(text: &str) -> (String, bool) {
        let mut lexer = Lexer::new(text.as_bytes());
        let mut words = Vec::new();
        while let Some(token) = lexer.token() {
            if let Token::Word(word) = token {
                words.push(String::from_utf8_lossy(&word.to_be_bytes()).replace('\0', ""));
            }
        }
        (words.join(" "), lexer.doubt)
    }

    #[test]
    fn only_what_is_outside_of_quotes_and_comments_is_read() {
        for (text, expected) in [
            ("a -- b\n c", "a c"),
            ("a -- b\r c", "a c"),
            ("a /* b /* c */ d */ e", "a e"),
            ("a /*/ b */ c", "a c"),
            ("a /***/ b", "a b"),
            ("a+--b\n c", "a c"),
            ("a 'b' c", "a c"),
            ("a 'b''c' d", "a d"),
            ("a \"b\" c", "a c"),
            ("a \"b\"\"c\" d", "a d"),
            ("a \"b'c\" d", "a d"),
            ("a E'b\\'c' d", "a d"),
            ("a e'b\\\\' d", "a d"),
            ("a E'b''c\\'d' f", "a f"),
            ("a E'b'\n 'c\\'d' f", "a f"),
            ("a E'b' -- x\n 'c\\'d' f", "a f"),
            ("a namee'b' c", "a namee c"),
            ("a U&'b' c", "a u c"),
            ("a N'b' c", "a n c"),
            ("a $$b$$ c", "a c"),
            ("a $x$b $$ c $y$ d$x$ e", "a e"),
            ("a $x$b$y$x$ c", "a c"),
            ("a $x$ b $X$ c $x$ d", "a d"),
            ("a $1 b", "a b"),
            ("a $1$$b$$ c", "a c"),
            ("a$$ b$$ c", "a$$ b$$ c"),
            ("a $é$ b $é$ c", "a c"),
            ("a $b c", "a b c"),
            ("a - b / c", "a b c"),
        ] {
            assert_eq!(words(text), (expected.to_owned(), false), "{text}");
        }
    }

    #[test]
    fn what_does_not_end_or_may_end_elsewhere_leaves_it_in_doubt() {
        for (text, expected) in [
            ("a 'b", "a"),
            ("a \"b", "a"),
            ("a E'b\\'", "a"),
            ("a E'b\\", "a"),
            ("a $$b$", "a"),
            ("a $x$b $$", "a"),
            ("a /* b /* c */", "a"),
            ("a 'b\\' c ' d '", "a c"),
            ("a E'é\\' b' c", "a c"),
        ] {
            assert_eq!(words(text), (expected.to_owned(), true), "{text}");
        }
    }
}
