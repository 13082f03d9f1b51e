//! One busy client: what it asks, and whether the answer is its own.

use std::time::Instant;

use anyhow::{anyhow, ensure};
use clap::{Args, ValueEnum};
use howdah_wire::backend::tag;
use howdah_wire::{ErrorResponse, frontend};

use crate::conn::Conn;
use crate::replies::Replies;

/// What is asked.
#[derive(Args, Clone)]
pub(crate) struct Question {
    /// How it is asked.
    #[arg(long, value_enum, default_value = "simple")]
    protocol: Protocol,
    /// Rows that the fake PostgreSQL is asked for.
    #[arg(long, default_value = "1")]
    rows: u32,
    /// Ask a real PostgreSQL this instead; the answer is then only checked to be no error.
    #[arg(long, value_name = "TEXT")]
    sql: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Protocol {
    /// Query.
    Simple,
    /// Parse, Bind, Describe, Execute, Sync.
    Extended,
    /// Parse once under a name; then Bind, Execute, Sync.
    Prepared,
}

/// A client and its connection.
pub(crate) struct Client {
    pub(crate) conn: Conn,
    replies: Replies,
    /// Begins each row of the fake PostgreSQL's answer.
    mark: [u8; 16],
    number: u32,
    sequence: u32,
    prepared: bool,
    /// Rows, and rows that begin with another's mark.
    rows: (u32, u32),
    pub(crate) asked: Instant,
}

impl Client {
    pub(crate) fn new(conn: Conn, number: u32) -> Client {
        Client {
            conn,
            replies: Replies::default(),
            mark: [0; 16],
            number,
            sequence: 0,
            prepared: false,
            rows: (0, 0),
            asked: Instant::now(),
        }
    }

    pub(crate) fn ask(&mut self, question: &Question, now: Instant) -> std::io::Result<()> {
        self.asked = now;
        self.rows = (0, 0);
        self.sequence = self.sequence.wrapping_add(1);
        hexadecimal(self.number, &mut self.mark[..8]);
        hexadecimal(self.sequence, &mut self.mark[8..]);
        let out = &mut self.conn.output;
        match (&question.sql, question.protocol) {
            (Some(text), Protocol::Simple) => frontend::write_query(out, text.as_bytes()),
            (None, Protocol::Simple) => {
                let mut text = format!("/*rows={}*/", question.rows).into_bytes();
                text.extend_from_slice(&self.mark);
                text.resize(text.len().max(QUERY), b' ');
                frontend::write_query(out, &text);
            }
            (text, Protocol::Extended) => {
                parse(out, b"", text.as_deref(), question.rows);
                bind(out, b"", text.is_none().then_some(&self.mark));
                frontend::write_describe(out, frontend::TargetKind::Portal, b"");
                frontend::write_execute(out, b"", 0);
                frontend::write_sync(out);
            }
            (text, Protocol::Prepared) => {
                if !std::mem::replace(&mut self.prepared, true) {
                    parse(out, b"question", text.as_deref(), question.rows);
                }
                bind(out, b"question", text.is_none().then_some(&self.mark));
                frontend::write_execute(out, b"", 0);
                frontend::write_sync(out);
            }
        }
        self.conn.flush()
    }

    /// Takes in what came. True when the answer is there as a whole.
    pub(crate) fn hear(&mut self, bytes: &[u8], question: &Question) -> anyhow::Result<bool> {
        let (mut ready, mut error) = (false, None);
        let (mark, rows) = (&self.mark, &mut self.rows);
        self.replies.feed(bytes, |tag, body| match tag {
            tag::DATA_ROW => {
                rows.0 += 1;
                rows.1 += u32::from(body.get(6..22) != Some(mark));
            }
            tag::ERROR_RESPONSE => error = Some(ErrorResponse::parse(body).message),
            tag::READY_FOR_QUERY => ready = true,
            _ => {}
        })?;
        if let Some(error) = error {
            return Err(anyhow!("client {}: {error}", self.number));
        }
        if ready && question.sql.is_none() {
            ensure!(self.rows.1 == 0, "client {} got another's answer", self.number);
            ensure!(self.rows.0 == question.rows, "client {} got {} rows", self.number, self.rows.0);
        }
        Ok(ready)
    }
}

fn parse(out: &mut Vec<u8>, name: &[u8], text: Option<&str>, rows: u32) {
    match text {
        Some(text) => frontend::write_parse(out, name, text.as_bytes(), &[]),
        None => frontend::write_parse(out, name, format!("/*rows={rows}*/SELECT $1").as_bytes(), &[]),
    }
}

/// A Bind of the unnamed portal, with one parameter or none, all as text.
fn bind(out: &mut Vec<u8>, statement: &[u8], parameter: Option<&[u8; 16]>) {
    let mut rest = vec![0, 0];
    rest.extend_from_slice(&u16::from(parameter.is_some()).to_be_bytes());
    if let Some(value) = parameter {
        rest.extend_from_slice(&16_u32.to_be_bytes());
        rest.extend_from_slice(value);
    }
    rest.extend_from_slice(&[0, 0]);
    frontend::write_bind_header(out, b"", statement, rest.len()).expect("a short message");
    out.extend_from_slice(&rest);
}

fn hexadecimal(mut value: u32, digits: &mut [u8]) {
    for digit in digits.iter_mut().rev() {
        *digit = b"0123456789abcdef"[(value & 15) as usize];
        value >>= 4;
    }
}

/// Length of a simple query's text.
const QUERY: usize = 54;
