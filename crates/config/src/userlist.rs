//! `userlist.txt`: who is known, and by which secret. Lines of `"user" "secret"`, quotes doubled inside, comments
//! from `;`; what follows the second string on its line is ignored.
//!
//! As with PgBouncer the first broken line ends the reading, and the users before it count: nobody is let in by a
//! mistake. Nothing of a line is ever repeated in a problem.

use std::collections::BTreeMap;
use std::path::Path;

use howdah_wire::secret::Secret;
use zeroize::Zeroizing;

use crate::problem::{Place, Problem};
use crate::source::Source;

/// The users of a file; `None` when it cannot be read at all.
pub(crate) fn read(
    path: &Path,
    source: &dyn Source,
    problems: &mut Vec<Problem>,
) -> Option<BTreeMap<String, Secret>> {
    let place = Place::file(path);
    let bytes = match source.read(path) {
        Ok(bytes) => Zeroizing::new(bytes),
        Err(error) => {
            let problem = Problem::warning(format!("cannot read auth_file: {error}")).at(&place);
            problems.push(problem.hint(UNREADABLE));
            return None;
        }
    };
    let Ok(text) = std::str::from_utf8(&bytes) else {
        problems.push(Problem::warning("auth_file is not UTF-8; nothing of it counts").at(&place));
        return Some(BTreeMap::new());
    };
    Some(users(text, &place, problems))
}

/// What a stored secret is, by its spelling. Anything that is neither hash is the password itself.
pub(crate) fn secret(text: &str) -> Secret {
    let text = Zeroizing::new(text.to_owned());
    let is_md5 = text
        .strip_prefix("md5")
        .is_some_and(|hash| hash.len() == 32 && hash.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')));
    if is_md5 {
        Secret::Md5(text)
    } else if text.starts_with("SCRAM-SHA-256$") {
        Secret::Scram(text)
    } else {
        Secret::Plain(text)
    }
}

fn users(text: &str, place: &Place, problems: &mut Vec<Problem>) -> BTreeMap<String, Secret> {
    let mut users = BTreeMap::new();
    let mut rest = text;
    loop {
        rest = rest.trim_ascii_start();
        if rest.is_empty() {
            return users;
        }
        if !rest.starts_with(';') {
            match user(rest) {
                Ok((name, password, after)) => {
                    users.insert(name, secret(&password));
                    rest = after;
                }
                Err(broken) => {
                    let before = text.len() - rest.len();
                    let newlines = text.bytes().take(before).filter(|&b| b == b'\n').count();
                    let line = u32::try_from(newlines + 1).unwrap_or(u32::MAX);
                    let message =
                        format!("{broken}: reading stops here, the {} users before it count", users.len());
                    problems.push(Problem::warning(message).at(&place.line(line)).hint(HINT));
                    return users;
                }
            }
        }
        rest = rest.split_once('\n').map_or("", |(_, after)| after);
    }
}

/// One user, the password and what follows.
fn user(line: &str) -> Result<(String, Zeroizing<String>, &str), &'static str> {
    let (name, after) = quoted(line).ok_or("no user name in double quotes")?;
    // PgBouncer would look for the password on the lines below as well and find the next user's name.
    let gap = after.find(['"', '\n']).ok_or("no password in double quotes")?;
    let after = after.get(gap..).unwrap_or_default();
    let (password, rest) = quoted(after).ok_or("no password in double quotes")?;
    if name.len() >= LONGEST_NAME {
        return Err("the user name is too long");
    }
    if password.len() >= LONGEST_PASSWORD {
        return Err("the password is too long");
    }
    Ok((name, Zeroizing::new(password), rest))
}

/// A string in double quotes and what follows it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut rest = text.strip_prefix('"')?;
    loop {
        let (part, after) = rest.split_once('"')?;
        value.push_str(part);
        match after.strip_prefix('"') {
            Some(more) => {
                value.push('"');
                rest = more;
            }
            None => return Some((value, after)),
        }
    }
}

const HINT: &str =
    r#"a line is "user" "secret", a quote inside either is written twice, a comment starts with ;"#;

/// PgBouncer's bounds, in bytes.
const LONGEST_NAME: usize = 128;
const LONGEST_PASSWORD: usize = 2048;

const UNREADABLE: &str = "no user is known (after a reload: only those known before)";

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn read_text(text: &str) -> (BTreeMap<String, Secret>, Vec<String>) {
        let path = PathBuf::from("userlist.txt");
        let source = BTreeMap::from([(path.clone(), text.as_bytes().to_vec())]);
        let mut problems = Vec::new();
        let users = read(&path, &source, &mut problems).expect("the file exists");
        (users, problems.iter().map(ToString::to_string).collect())
    }

    fn plain(text: &str) -> Secret {
        Secret::Plain(Zeroizing::new(text.to_owned()))
    }

    #[test]
    fn reads_lines_as_pgbouncer_does() {
        let (users, problems) = read_text(concat!(
            "; a comment\r\n",
            "\n  \"alice\" \"a#b;c\" ignored \"too\"\r\n",
            "\"bob\"\"secret\"\n",
            "  ; \"eve\" \"x\"\n",
            "\"carol\":\"md5 it is not\"",
        ));
        // `"bob""secret"` is one string, the doubled quote joins it: no password follows, and nothing below counts.
        assert_eq!(users, BTreeMap::from([("alice".to_owned(), plain("a#b;c"))]));
        assert_eq!(problems.len(), 1);
        assert!(problems[0].starts_with("userlist.txt:4: warning: no password"), "{}", problems[0]);

        let (users, problems) = read_text("\"carol\":\"md5 it is not\" rest\n\"dave\"\t\"x\ny\"");
        let expected = [("carol", plain("md5 it is not")), ("dave", plain("x\ny"))];
        assert_eq!(users, expected.map(|(name, secret)| (name.to_owned(), secret)).into());
        assert!(problems.is_empty());
    }

    #[test]
    fn doubled_quotes_stand_for_one_and_later_lines_win() {
        let (users, problems) =
            read_text("\"b\"\"ob\" \"p\"\"w\"\n\"x\" \"1\"\n\"x\" \"2\"\n\"none\" \"\"\n");
        assert_eq!(problems, Vec::<String>::new());
        let expected = [("b\"ob", plain("p\"w")), ("x", plain("2")), ("none", plain(""))];
        assert_eq!(users, expected.map(|(name, secret)| (name.to_owned(), secret)).into());
    }

    #[test]
    fn tells_secrets_apart() {
        let md5 = format!("md5{}", "0123456789abcdef".repeat(2));
        assert!(matches!(secret(&md5), Secret::Md5(_)));
        assert!(matches!(
            secret(
                "SCRAM-SHA-256$4096:c2FsdHNhbHRzYWx0c2FsdA==$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
            ),
            Secret::Scram(_)
        ));
        for text in ["", "md5", "md5abc", "MD5", "scram-sha-256$", &md5.to_uppercase()] {
            assert!(matches!(secret(text), Secret::Plain(_)), "{text}");
        }
    }

    #[test]
    fn stops_at_the_first_broken_line_and_repeats_nothing() {
        for broken in [
            "# comment",
            "eve hunter2",
            "\"eve",
            "\"eve\"",
            "\"eve\" hunter2",
            "\"eve\" \"hunter2",
            "\"eve\"\n\"f\" \"hunter2\"",
        ] {
            let (users, problems) = read_text(&format!("\"ok\" \"1\"\n\n{broken}\n"));
            assert_eq!(users.keys().collect::<Vec<_>>(), ["ok"], "{broken}");
            assert_eq!(problems.len(), 1, "{broken}");
            assert!(problems[0].starts_with("userlist.txt:3: warning: "), "{}", problems[0]);
            assert!(!problems[0].contains("hunter2"));
        }
        let (users, problems) = read_text(&format!("\"{}\" \"1\"", "x".repeat(128)));
        assert!(users.is_empty() && problems.len() == 1);
    }

    #[test]
    fn an_unreadable_file_is_told_apart_from_an_empty_one() {
        let mut problems = Vec::new();
        assert_eq!(read(Path::new("none"), &BTreeMap::new(), &mut problems), None);
        assert_eq!(
            problems[0].to_string(),
            format!("none: warning: cannot read auth_file: entity not found; {UNREADABLE}")
        );
        assert_eq!(read_text("").0, BTreeMap::new());
    }
}
