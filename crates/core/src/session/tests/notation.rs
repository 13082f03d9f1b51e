//! Messages as short text, separated by ` / `: the type byte and what matters of the body.
//!
//! Clients: `Q text`, `P name text`, `B name [portal [value]]`, `D name`, `E [portal [rows]]`, `C name`, `S`,
//! `H`, `d data`, `c`, `f why`, `F`, `X`. `-` is the unnamed statement or portal; `D` and `C` mean
//! statements, `Dp` and `Cp` portals.
//! Servers: `1 2 3 n T t D I s G H c V` bare, `d data`, `C tag`, `Z status`, `E code text`, `N text`,
//! `S name value`, `row column column …`, `Er routine code text` (an error of this function of PostgreSQL's).
//!
//! The question what a session looks like is shown as `Q look` and what it is about: settings by name, else
//! `settings`, `role`, `statements`, `temp`, `locks`, `cursors`, `channels`, `slots`; or `everything`.

use howdah_wire::backend::{self, DataRow, TransactionStatus};
use howdah_wire::error_response::{ErrorResponse, Severity, field};
use howdah_wire::frontend::{self, TargetKind};
use howdah_wire::{FrameHeader, SqlState, write_message};

pub(super) fn from_client(messages: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for message in messages.split(" / ").filter(|message| !message.is_empty()) {
        let (kind, rest) = message.split_once(' ').unwrap_or((message, ""));
        let mut words = rest.split(' ').filter(|word| !word.is_empty()).map(unnamed);
        let out = &mut out;
        match kind {
            "Q" => frontend::write_query(out, rest.as_bytes()),
            "P" => {
                let (name, text) = rest.split_once(' ').unwrap_or((rest, ""));
                frontend::write_parse(out, unnamed(name), text.as_bytes(), &[]);
            }
            "B" => {
                let (name, portal) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
                write_bind(out, name, portal, words.next().unwrap_or_default());
            }
            "E" => {
                let portal = words.next().unwrap_or_default();
                let rows = words.next().map_or(0, |n| str::from_utf8(n).unwrap().parse().unwrap());
                frontend::write_execute(out, portal, rows);
            }
            "D" => frontend::write_describe(out, TargetKind::Statement, unnamed(rest)),
            "Dp" => frontend::write_describe(out, TargetKind::Portal, unnamed(rest)),
            "C" => frontend::write_close(out, TargetKind::Statement, unnamed(rest)),
            "Cp" => frontend::write_close(out, TargetKind::Portal, unnamed(rest)),
            "f" => frontend::write_copy_fail(out, rest.as_bytes()),
            _ => write_message(out, kind.as_bytes()[0], rest.as_bytes()),
        }
    }
    out
}

/// What a question about the session is about, if this is one.
pub(super) fn look(query: &str) -> Option<String> {
    let mut about = Vec::new();
    for statement in query.split("; ").filter(|statement| !statement.is_empty()) {
        if statement.contains("pg_prepared_statement()") {
            about.push("statements");
            continue;
        }
        let mut words = statement.strip_prefix("SELECT '")?.split('\'');
        about.push(match words.next()? {
            "n" => words.nth(1)?,
            "s" => "settings",
            "r" => "role",
            "t" => "temp",
            "l" => "locks",
            "c" => "cursors",
            "h" => "channels",
            "x" => "slots",
            _ => return None,
        });
    }
    about.dedup();
    if about.is_empty() {
        return None;
    }
    let about = about.join(" ");
    Some(about.replace("settings role statements temp locks cursors channels slots", "everything"))
}

/// A Bind with one value, which the model puts into the rows.
pub(super) fn write_bind(out: &mut Vec<u8>, name: &[u8], portal: &[u8], value: &[u8]) {
    let mut rest = vec![0, 0, 0, 1];
    rest.extend_from_slice(&u32::try_from(value.len()).unwrap().to_be_bytes());
    rest.extend_from_slice(value);
    rest.extend_from_slice(&[0, 0]);
    frontend::write_bind_header(out, portal, name, rest.len()).unwrap();
    out.extend_from_slice(&rest);
}

pub(super) fn from_server(messages: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for message in messages.split(" / ").filter(|message| !message.is_empty()) {
        let (kind, rest) = message.split_once(' ').unwrap_or((message, ""));
        let out = &mut out;
        match kind {
            "C" => backend::write_command_complete(out, rest.as_bytes()),
            "Z" => backend::write_ready_for_query(out, status(rest)),
            "E" => error(rest).write(out),
            "Er" => {
                let (routine, rest) = rest.split_once(' ').unwrap_or_default();
                ErrorResponse { other: vec![(b'R', routine.into())], ..error(rest) }.write(out);
            }
            "FATAL" => ErrorResponse { severity: Severity::Fatal, ..error(rest) }.write(out),
            "A" if !rest.is_empty() => {
                let words: Vec<_> = rest.splitn(3, ' ').collect();
                let (pid, channel, payload) =
                    (words[0].parse().unwrap(), words[1].as_bytes(), words[2].as_bytes());
                let notification = backend::NotificationResponse { pid, channel, payload };
                backend::write_notification_response(out, &notification);
            }
            "row" => {
                let values: Vec<_> = rest.split(' ').map(|value| Some(value.as_bytes())).collect();
                backend::write_data_row(out, values);
            }
            "N" => ErrorResponse::new(Severity::Notice, SqlState::INTERNAL_ERROR, rest).write_notice(out),
            "S" => {
                let (name, value) = rest.split_once(' ').unwrap_or((rest, ""));
                backend::write_parameter_status(out, name.as_bytes(), value.as_bytes());
            }
            _ => write_message(out, kind.as_bytes()[0], rest.as_bytes()),
        }
    }
    out
}

/// A rendering of what a server was sent.
pub(super) fn to_server(bytes: &[u8]) -> String {
    render(bytes, |tag, body| {
        let strings: Vec<_> = body.split(|&b| b == 0).map(named).collect();
        let string = |index: usize| strings.get(index).cloned().unwrap_or_default();
        match tag {
            'Q' => {
                let text = str::from_utf8(&body[..body.len() - 1]).unwrap_or_default();
                let shown = look(text).map(|about| format!("look {about}"));
                format!("Q {}", shown.unwrap_or_else(|| string(0))).trim_end_matches(" -").to_owned()
            }
            'f' => format!("{tag} {}", string(0)).trim_end_matches(" -").to_owned(),
            'P' => format!("P {} {}", string(0), string(1)),
            'B' if string(0) == "-" => format!("B {}", string(1)),
            'B' => format!("B {} {}", string(1), string(0)),
            'D' | 'C' => {
                let suffix = if body.first() == Some(&b'P') { "p" } else { "" };
                format!("{tag}{suffix} {}", named(body[1..].split(|&b| b == 0).next().unwrap()))
            }
            'E' if string(0) == "-" => "E".to_owned(),
            'E' => format!("E {}", string(0)),
            'd' => format!("d {}", body.escape_ascii()),
            _ => tag.to_string(),
        }
    })
}

/// A rendering of what a client was sent.
pub(super) fn to_client(bytes: &[u8]) -> String {
    render(bytes, |tag, body| {
        let text = |bytes: &[u8]| bytes.split(|&b| b == 0).next().unwrap().escape_ascii().to_string();
        let field = |kind| field(body, kind).map(|f| f.escape_ascii().to_string()).unwrap_or_default();
        match tag {
            'D' if DataRow::parse(body).is_ok_and(|row| !row.values().is_empty()) => {
                let row = DataRow::parse(body).unwrap();
                let values: Vec<_> =
                    row.values().iter().map(|value| text(value.unwrap_or(b"NULL"))).collect();
                format!("D {}", values.join(" ")).trim_end().to_owned()
            }
            'C' | 'd' | 'D' => format!("{tag} {}", text(body)).trim_end().to_owned(),
            'Z' => format!("Z {}", text(body)),
            'E' => format!("E {} {}", field(b'C'), field(b'M')),
            'N' => format!("N {}", field(b'M')),
            'S' => {
                let strings: Vec<_> = body.split(|&b| b == 0).map(text).collect();
                format!("S {} {}", strings[0], strings[1])
            }
            _ => tag.to_string(),
        }
    })
}

fn render(mut bytes: &[u8], message: impl Fn(char, &[u8]) -> String) -> String {
    let mut texts = Vec::new();
    while !bytes.is_empty() {
        match FrameHeader::parse(bytes) {
            Ok(Some(header)) if header.total() <= bytes.len() => {
                let (whole, rest) = bytes.split_at(header.total());
                texts.push(message(char::from(header.tag), &whole[FrameHeader::SIZE..]));
                bytes = rest;
            }
            _ => {
                texts.push(format!("…{} bytes", bytes.len()));
                break;
            }
        }
    }
    texts.join(" / ")
}

fn unnamed(word: &str) -> &[u8] {
    if word == "-" { b"" } else { word.as_bytes() }
}

fn named(bytes: &[u8]) -> String {
    if bytes.is_empty() { "-".to_owned() } else { bytes.escape_ascii().to_string() }
}

fn status(word: &str) -> TransactionStatus {
    match word {
        "T" => TransactionStatus::InTransaction,
        "E" => TransactionStatus::Failed,
        _ => TransactionStatus::Idle,
    }
}

fn error(rest: &str) -> ErrorResponse {
    let (code, text) = rest.split_once(' ').unwrap_or((rest, ""));
    ErrorResponse::new(Severity::Error, SqlState::from_bytes(code.as_bytes()).unwrap(), text)
}
