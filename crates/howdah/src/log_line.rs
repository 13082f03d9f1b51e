//! An event is one line, whatever names it holds.
//!
//! Clients say under which user and database name they come, and may put anything into it: a line end followed by a
//! line of the log that never was, for instance. Control characters are written as escapes. (The one that begins a
//! colour on a terminal is left alone: in values, the formatter has escaped it already.)

use std::io::{self, Write};

use tracing_subscriber::fmt::MakeWriter;

/// Writers whose every write is an event, and becomes a line.
pub(crate) struct Lines<M>(pub(crate) M);

impl<'a, M: MakeWriter<'a>> MakeWriter<'a> for Lines<M> {
    type Writer = Line<M::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        Line(self.0.make_writer())
    }
}

/// A writer that takes an event at a time.
pub(crate) struct Line<W>(W);

impl<W: Write> Write for Line<W> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = event.strip_suffix(b"\n").unwrap_or(event);
        if text.iter().copied().any(is_dangerous) {
            let mut line = Vec::with_capacity(event.len() + 16);
            for &byte in text {
                match is_dangerous(byte) {
                    true => line.extend(byte.escape_ascii()),
                    false => line.push(byte),
                }
            }
            line.push(b'\n');
            self.0.write_all(&line)?;
        } else {
            self.0.write_all(event)?;
        }
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

fn is_dangerous(byte: u8) -> bool {
    byte.is_ascii_control() && byte != COLOUR
}

const COLOUR: u8 = 0x1b;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_stays_one_line() {
        for (event, line) in [
            ("INFO listening\n", "INFO listening\n"),
            ("user=x\nERROR all is lost\r\t\x7f\n", "user=x\\nERROR all is lost\\r\\t\\x7f\n"),
            ("\x1b[32mINFO\x1b[0m ä\n", "\x1b[32mINFO\x1b[0m ä\n"),
        ] {
            let mut out = Vec::new();
            Line(&mut out).write_all(event.as_bytes()).unwrap();
            assert_eq!(String::from_utf8(out).unwrap(), line);
        }
    }
}
