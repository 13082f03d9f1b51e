//! A reply as it is compared: all of its tag and body, but for what PostgreSQL itself never gives twice.
//!
//! Process ids become the letter of the client that was given them, OIDs of users' objects and the numbers of
//! temporary schemas a word, secrets nothing. Neighbouring ParameterStatus messages come in no order.

use std::fmt::Write;

use crate::raw::reply::Message;

/// The messages as lines. `pids` tells whose a process id is.
pub(super) fn lines(messages: &[Message], pids: &[(char, u32)]) -> Vec<String> {
    let mut lines: Vec<_> = messages.iter().map(|message| line(message, pids)).collect();
    for run in lines.chunk_by_mut(|a, b| a.starts_with(STATUS) && b.starts_with(STATUS)) {
        run.sort();
    }
    lines
}

/// Whether two lines say the same. File, line and routine in PostgreSQL's source count where both name them.
pub(super) fn same(direct: &str, howdah: &str) -> bool {
    let places = direct.split_once(PLACE).zip(howdah.split_once(PLACE));
    let agree = places.is_none_or(|((_, direct), (_, howdah))| {
        let named = |place: &str, code: &str| {
            place.split(':').find_map(|part| part.strip_prefix(code).map(str::to_owned))
        };
        ["F=", "L=", "R="].iter().all(|code| match (named(direct, code), named(howdah, code)) {
            (Some(direct), Some(howdah)) => direct == howdah,
            _ => true,
        })
    });
    agree && placeless(direct) == placeless(howdah)
}

/// A line without the place in PostgreSQL's source.
pub(super) fn placeless(line: &str) -> &str {
    line.split_once(PLACE).map_or(line, |(line, _)| line)
}

fn line(message: &Message, pids: &[(char, u32)]) -> String {
    let line = match message.tag {
        b'S' => format!("{STATUS}{}", strings(&message.body).join(" = ")),
        b'K' => "BackendKeyData".to_owned(),
        b'A' => notification(&message.body, pids),
        b'T' => row_description(&message.body),
        b't' => parameter_description(&message.body),
        b'D' => data_row(message),
        b'E' => format!("ErrorResponse {}", fields(&message.body)),
        b'N' => format!("NoticeResponse {}", fields(&message.body)),
        b'C' => format!("CommandComplete {}", strings(&message.body).join(" ")),
        b'Z' => format!("ReadyForQuery {}", message.body.escape_ascii()),
        b'1' => format!("ParseComplete{}", message.body.escape_ascii()),
        b'2' => format!("BindComplete{}", message.body.escape_ascii()),
        b'3' => format!("CloseComplete{}", message.body.escape_ascii()),
        b'n' => format!("NoData{}", message.body.escape_ascii()),
        tag => format!("{} {}", char::from(tag), message.body.escape_ascii()),
    };
    numberless(&line)
}

fn strings(body: &[u8]) -> Vec<String> {
    let body = body.strip_suffix(b"\0").unwrap_or(body);
    body.split(|&byte| byte == 0).map(|text| String::from_utf8_lossy(text).into_owned()).collect()
}

fn notification(body: &[u8], pids: &[(char, u32)]) -> String {
    let (pid, rest) = body.split_first_chunk::<4>().expect("a notification names its sender");
    let pid = u32::from_be_bytes(*pid);
    let sender = pids.iter().find(|(_, given)| *given == pid).map_or('?', |(letter, _)| *letter);
    format!("Notification by {sender}: {}", strings(rest).join(" "))
}

fn row_description(body: &[u8]) -> String {
    const AFTER_NAME: usize = 18;
    let mut line = "RowDescription".to_owned();
    let mut rest = &body[2..];
    while let Some(end) = rest.iter().position(|&byte| byte == 0) {
        let (name, after) = (&rest[..end], &rest[end + 1..]);
        let (column, after) = after.split_at(AFTER_NAME);
        let number = |at: usize| u32::from_be_bytes(column[at..at + 4].try_into().expect("four bytes"));
        let (table, kind) = (oid(number(0)), oid(number(6)));
        let others = [&column[4..6], &column[10..]].concat();
        write!(line, " {}:{kind}", String::from_utf8_lossy(name)).expect("a String takes all");
        if others != PLAIN || table != "0" {
            write!(line, "[{table} {}]", hex(&others)).expect("a String takes all");
        }
        rest = after;
    }
    line
}

fn parameter_description(body: &[u8]) -> String {
    let types = body[2..].chunks(4).map(|it| oid(u32::from_be_bytes(it.try_into().expect("four bytes"))));
    types.fold("ParameterDescription".to_owned(), |line, oid| format!("{line} {oid}"))
}

fn data_row(message: &Message) -> String {
    let columns = message.columns().into_iter();
    let columns: Vec<_> = columns.map(|it| it.map_or("null".to_owned(), |it| format!("{it:?}"))).collect();
    format!("DataRow {}", columns.join(", "))
}

/// The fields of an error or notice, the place in the source last.
fn fields(body: &[u8]) -> String {
    let fields = body.split(|&byte| byte == 0).filter_map(|field| {
        let (code, text) = field.split_first()?;
        Some((*code, String::from_utf8_lossy(text)))
    });
    let (place, said): (Vec<_>, Vec<_>) = fields.partition(|(code, _)| b"FLR".contains(code));
    let mut line: Vec<_> = said.iter().map(|(code, text)| format!("{}={text}", char::from(*code))).collect();
    if !place.is_empty() {
        let place: Vec<_> =
            place.iter().map(|(code, text)| format!("{}={text}", char::from(*code))).collect();
        line.push(format!("{}{}", PLACE.trim_start(), place.join(":")));
    }
    line.join(" ")
}

/// An OID; those of users' objects differ from run to run.
fn oid(oid: u32) -> String {
    if oid < FIRST_OF_USERS { oid.to_string() } else { "oid".to_owned() }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a String takes all");
        text
    })
}

/// Takes the numbers out of the names of temporary schemas.
fn numberless(line: &str) -> String {
    let mut parts = line.split("pg_temp_");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        text.push_str("pg_temp_N");
        text.push_str(part.trim_start_matches(|digit: char| digit.is_ascii_digit()));
    }
    text
}

const STATUS: &str = "ParameterStatus ";
const PLACE: &str = " @ ";
const FIRST_OF_USERS: u32 = 16384;
/// No attribute number, variable length, no type modifier, as text.
const PLAIN: [u8; 10] = [0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_from_run_to_run_is_left_out() {
        let key = |body: &[u8]| Message { tag: b'K', body: body.to_vec() };
        assert_eq!(lines(&[key(b"12345678")], &[]), lines(&[key(b"87654321")], &[]));
        let notification = |pid| Message { tag: b'A', body: [&[0, 0, 0, pid], &b"c\0hello\0"[..]].concat() };
        let heard = lines(&[notification(7), notification(9)], &[('A', 7)]);
        assert_eq!(heard, ["Notification by A: c hello", "Notification by ?: c hello"]);
        let status = |name: &[u8]| Message { tag: b'S', body: [name, b"\0on\0"].concat() };
        let (one, two) = (status(b"one"), status(b"two"));
        assert_eq!(lines(&[one.clone(), two.clone()], &[]), lines(&[two, one], &[]));
    }

    #[test]
    fn everything_else_counts() {
        let error = |text: &[u8]| Message { tag: b'E', body: [b"SERROR\0C42704\0M", text, b"\0\0"].concat() };
        let line = |message: Message| lines(&[message], &[]).remove(0);
        assert!(!same(&line(error(b"a")), &line(error(b"b"))));
        assert!(same(&line(error(b"a\0Fguc.c\0L12")), &line(error(b"a"))));
        assert!(same(&line(error(b"a\0Fguc.c\0L12\0Rset")), &line(error(b"a\0Rset"))));
        assert!(!same(&line(error(b"a\0Fguc.c\0L12")), &line(error(b"a\0Fguc.c\0L13"))));
        let done = |tag: &[u8]| Message { tag: b'C', body: tag.to_vec() };
        assert_ne!(line(done(b"SET\0")), line(done(b"RESET\0")));
    }
}
