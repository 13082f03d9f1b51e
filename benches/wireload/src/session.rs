//! A session of the fake PostgreSQL: it knows just enough of the protocol to be pooled.
//!
//! A text that begins with `/*rows=N*/` is answered with N rows of one column. Each value begins with what
//! follows the comment, or with the first parameter, so that a client can see whose answer it got. Anything
//! else is done without a result. There are no transactions and no errors but those of a broken client.

use std::collections::HashMap;
use std::io;

use anyhow::{Context, bail};
use howdah_wire::backend::{self, Column, TransactionStatus};
use howdah_wire::cancel_key::{CancelKey, CancelSecret};
use howdah_wire::frontend::{Bind, Parse, Query, Target, TargetKind, tag};
use howdah_wire::startup::MAX_STARTUP_LEN;
use howdah_wire::{FrameHeader, StartupPacket};

use crate::conn::Conn;

/// One connection of a client's, that is of the pooler's.
pub(crate) struct Session {
    conn: Conn,
    input: Vec<u8>,
    started: bool,
    statements: HashMap<Vec<u8>, Answer>,
    /// The unnamed portal: its statement and its first parameter.
    portal: (Answer, Vec<u8>),
}

/// What a text is answered with.
#[derive(Clone, Default)]
struct Answer {
    rows: Option<u32>,
    text: Vec<u8>,
}

impl Session {
    pub(crate) fn new(conn: Conn) -> Session {
        Session {
            conn,
            input: Vec::new(),
            started: false,
            statements: HashMap::new(),
            portal: Default::default(),
        }
    }

    /// Reads what there is and answers it. An error: it is over.
    pub(crate) fn serve(&mut self, scratch: &mut [u8]) -> anyhow::Result<()> {
        self.conn.flush()?;
        while let Some(n) = self.conn.read(scratch)? {
            self.input.extend_from_slice(&scratch[..n]);
            if n < scratch.len() {
                break;
            }
        }
        let input = std::mem::take(&mut self.input);
        let mut done = 0;
        while let Some(used) =
            if self.started { self.message(&input[done..])? } else { self.startup(&input[done..])? }
        {
            done += used;
        }
        self.input = input;
        self.input.drain(..done);
        Ok(self.conn.flush()?)
    }

    fn startup(&mut self, input: &[u8]) -> anyhow::Result<Option<usize>> {
        let Some((packet, used)) = StartupPacket::parse(input, MAX_STARTUP_LEN)? else { return Ok(None) };
        let out = &mut self.conn.output;
        match packet {
            StartupPacket::SslRequest | StartupPacket::GssEncRequest => out.push(b'N'),
            StartupPacket::CancelRequest(_) => bail!("nothing to cancel"),
            StartupPacket::Startup(_) => {
                welcome(out);
                self.started = true;
            }
        }
        Ok(Some(used))
    }

    fn message(&mut self, input: &[u8]) -> anyhow::Result<Option<usize>> {
        let Some(header) = FrameHeader::parse(input)? else { return Ok(None) };
        let Some(body) = input.get(FrameHeader::SIZE..header.total()) else { return Ok(None) };
        let out = &mut self.conn.output;
        match header.tag {
            tag::QUERY => {
                let answer = Answer::to(Query::parse(body)?.text);
                if answer.rows.is_some() {
                    answer.describe(out);
                }
                answer.write(&answer.text, out);
                backend::write_ready_for_query(out, TransactionStatus::Idle);
            }
            tag::PARSE => {
                let parse = Parse::parse(body)?;
                self.statements.insert(parse.name.to_vec(), Answer::to(parse.text));
                backend::write_parse_complete(out);
            }
            tag::BIND => {
                let bind = Bind::parse(body)?;
                let answer = self.statements.get(bind.statement).context("no such statement")?.clone();
                let value = first_parameter(bind.rest).unwrap_or(&answer.text).to_vec();
                self.portal = (answer, value);
                backend::write_bind_complete(out);
            }
            tag::DESCRIBE => {
                let target = Target::parse(body)?;
                if target.kind == TargetKind::Statement {
                    backend::write_parameter_description(out, &[]);
                    self.statements.get(target.name).context("no such statement")?.describe(out);
                } else {
                    self.portal.0.describe(out);
                }
            }
            tag::EXECUTE => self.portal.0.write(&self.portal.1, out),
            tag::CLOSE => {
                self.statements.remove(Target::parse(body)?.name);
                backend::write_close_complete(out);
            }
            tag::SYNC => backend::write_ready_for_query(out, TransactionStatus::Idle),
            tag::FLUSH => {}
            _ => return Err(io::Error::from(io::ErrorKind::ConnectionReset).into()),
        }
        Ok(Some(header.total()))
    }
}

impl Answer {
    fn to(text: &[u8]) -> Answer {
        let Some(rest) = text.strip_prefix(b"/*rows=") else { return Answer::default() };
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit());
        let rows = digits.fold(0_u32, |rows, digit| rows.wrapping_mul(10) + u32::from(digit - b'0'));
        let end = rest.iter().position(|byte| *byte == b'/').map_or(rest.len(), |slash| slash + 1);
        let mut text = rest[end..].to_vec();
        text.resize(ROW, b'.');
        Answer { rows: Some(rows), text }
    }

    fn describe(&self, out: &mut Vec<u8>) {
        match self.rows {
            Some(_) => backend::write_row_description(out, &[Column::text("value")]),
            None => backend::write_no_data(out),
        }
    }

    fn write(&self, value: &[u8], out: &mut Vec<u8>) {
        let Some(rows) = self.rows else { return backend::write_command_complete(out, b"SET") };
        for _ in 0..rows {
            backend::write_data_row(out, [Some(value)]);
        }
        backend::write_command_complete(out, format!("SELECT {rows}").as_bytes());
    }
}

fn welcome(out: &mut Vec<u8>) {
    backend::write_authentication_ok(out);
    let parameters = [
        ("server_version", "16.0"),
        ("server_encoding", "UTF8"),
        ("client_encoding", "UTF8"),
        ("application_name", ""),
        ("DateStyle", "ISO, MDY"),
        ("IntervalStyle", "postgres"),
        ("TimeZone", "UTC"),
        ("integer_datetimes", "on"),
        ("standard_conforming_strings", "on"),
    ];
    for (name, value) in parameters {
        backend::write_parameter_status(out, name.as_bytes(), value.as_bytes());
    }
    let secret = CancelSecret::new(&[1, 2, 3, 4]).expect("four bytes are a secret");
    backend::write_backend_key_data(out, &CancelKey { pid: 1, secret });
    backend::write_ready_for_query(out, TransactionStatus::Idle);
}

/// The first parameter of a Bind, from its format codes on.
fn first_parameter(rest: &[u8]) -> Option<&[u8]> {
    let (formats, rest) = rest.split_first_chunk::<2>()?;
    let rest = rest.get(2 * usize::from(u16::from_be_bytes(*formats))..)?;
    let (count, rest) = rest.split_first_chunk::<2>()?;
    let (length, value) = rest.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    value.get(..length).filter(|_| *count != [0, 0])
}

/// Length of a value that has no parameter to begin with.
const ROW: usize = 42;
