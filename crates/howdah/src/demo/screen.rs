//! Lines on a terminal that are redrawn in place.

use std::fmt::Write as _;
use std::io::{self, Write};

use rustix::termios::tcgetwinsize;

/// The place on the terminal; the cursor is hidden there as long as this lives.
pub(crate) struct Screen {
    out: io::Stdout,
    drawn: usize,
}

impl Screen {
    pub(crate) fn new() -> Screen {
        Screen { out: io::stdout(), drawn: 0 }
    }

    /// Draws over what was drawn before. What does not fit is cut off: a wrapped line could not be redrawn.
    pub(crate) fn draw(&mut self, lines: &[String]) -> io::Result<()> {
        let (columns, rows) = match tcgetwinsize(&self.out) {
            Ok(size) if size.ws_col > 0 && size.ws_row > 1 => {
                (size.ws_col.into(), usize::from(size.ws_row) - 1)
            }
            _ => (80, 23),
        };
        let mut text = HIDE_CURSOR.to_owned();
        if self.drawn > 0 {
            write!(text, "\r\x1b[{}A", self.drawn.min(rows)).expect("writing to a String cannot fail");
        }
        let fitting = &lines[..lines.len().min(rows)];
        for line in fitting {
            text.push_str(&clip(line, columns));
            text.push_str(CLEAR_REST_OF_LINE);
            text.push('\n');
        }
        text.push_str(CLEAR_BELOW);
        self.drawn = fitting.len();
        self.out.write_all(text.as_bytes())?;
        self.out.flush()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = self.out.write_all(SHOW_CURSOR.as_bytes()).and_then(|()| self.out.flush());
    }
}

/// The first `columns` visible characters; colour codes take no room and are all kept.
fn clip(line: &str, columns: usize) -> String {
    let mut clipped = String::new();
    let mut room = columns;
    let mut in_code = false;
    for character in line.chars() {
        in_code |= character == '\x1b';
        if in_code {
            clipped.push(character);
            in_code = !character.is_ascii_alphabetic();
        } else if room > 0 {
            clipped.push(character);
            room -= 1;
        }
    }
    clipped
}

const HIDE_CURSOR: &str = "\x1b[?25l";
const SHOW_CURSOR: &str = "\x1b[?25h";
const CLEAR_REST_OF_LINE: &str = "\x1b[K";
const CLEAR_BELOW: &str = "\x1b[J";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clips_what_is_seen_and_keeps_colours() {
        assert_eq!(clip("abc", 5), "abc");
        assert_eq!(clip("a\x1b[31mbcd\x1b[0mef", 3), "a\x1b[31mbc\x1b[0m");
        assert_eq!(clip("«é»", 2), "«é");
    }
}
