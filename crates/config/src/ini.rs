//! What does `pgbouncer.ini` say, line by line? Sections and `key = value` entries, each with its place.
//!
//! The rules are PgBouncer's, which no INI library follows: a comment starts only at the beginning of a line, so
//! `#` and `;` belong to values; a value goes to the end of its line and nothing in it is an escape; a name with
//! characters beyond letters, digits and `_.-*` is quoted; `%include` continues in another file (relative to the
//! working directory) and whatever section it ends in stays open. What a key means is not decided here.

use std::path::Path;

use crate::problem::{Place, Problem};
use crate::source::Source;

/// A section's beginning or an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Item {
    /// `[name]`
    Section(String),
    /// `key = value`
    Entry { key: String, value: String },
}

/// All items of a file and what it includes, in order. Mistakes go to `problems`.
pub(crate) fn read(path: &Path, source: &dyn Source, problems: &mut Vec<Problem>) -> Vec<(Place, Item)> {
    let mut reader = Reader { source, items: Vec::new(), problems, bytes_left: MOST_BYTES, stopped: false };
    reader.file(path, 0, None);
    reader.items
}

struct Reader<'a> {
    source: &'a dyn Source,
    items: Vec<(Place, Item)>,
    problems: &'a mut Vec<Problem>,
    bytes_left: usize,
    /// A bound was passed: nothing more is read, so that a file full of includes cannot fill the memory with problems.
    stopped: bool,
}

impl Reader<'_> {
    fn file(&mut self, path: &Path, depth: u32, included_at: Option<&Place>) {
        let here = Place::file(path);
        let bytes = match self.source.read(path) {
            Ok(bytes) => bytes,
            Err(error) => {
                let problem = Problem::error(format!("cannot read {}: {error}", path.display()));
                return self.problems.push(problem.at(included_at.unwrap_or(&here)));
            }
        };
        // Counted per file read, not per file: an include that includes itself twice doubles at every level.
        let Some(left) = self.bytes_left.checked_sub(bytes.len().max(LEAST_COST)) else {
            self.stopped = true;
            return self
                .problems
                .push(Problem::error("the included files are too many or too long").at(&here));
        };
        self.bytes_left = left;
        for (line, number) in bytes.split(|&b| b == b'\n').zip(1u32..) {
            if self.stopped {
                return;
            }
            let place = here.line(number);
            match std::str::from_utf8(line) {
                Ok(line) if line.contains('\0') => self.problems.push(Problem::error("NUL byte").at(&place)),
                Ok(line) => self.line(line, &place, depth),
                Err(_) => self.problems.push(Problem::error("not UTF-8").at(&place)),
            }
        }
    }

    fn line(&mut self, line: &str, place: &Place, depth: u32) {
        let mut rest = line.trim_matches(is_space);
        // PgBouncer goes on behind `]`, so an entry may share the line with its section.
        while let Some(inside) = rest.strip_prefix('[') {
            let Some((name, after)) = inside.split_once(']') else {
                return self.problems.push(Problem::error("a section needs a closing ]").at(place));
            };
            self.items.push((place.clone(), Item::Section(name.to_owned())));
            rest = after.trim_start_matches(is_space);
        }
        if rest.is_empty() || rest.starts_with(['#', ';']) {
            return;
        }
        if let Some(path) = rest.strip_prefix("%include").filter(|path| path.starts_with(is_blank)) {
            let path = Path::new(path.trim_matches(is_space));
            if depth >= DEEPEST_INCLUDE {
                self.stopped = true;
                return self.problems.push(Problem::error("%include is nested too deeply").at(place));
            }
            return self.file(path, depth + 1, Some(place));
        }
        match entry(rest) {
            Some((key, value)) => self.items.push((place.clone(), Item::Entry { key, value })),
            None => {
                self.problems.push(Problem::error("expected key = value").at(place).hint(
                    "a name with characters other than letters, digits and _ . - * needs double quotes",
                ))
            }
        }
    }
}

/// `key = value`; `None` is a syntax error.
fn entry(line: &str) -> Option<(String, String)> {
    let (key, rest) = match line.chars().next()? {
        quote @ ('"' | '\'') => quoted(line, quote)?,
        _ => {
            let end = line.find(|c: char| !(c.is_ascii_alphanumeric() || "_.-*".contains(c)))?;
            let (key, rest) = line.split_at_checked(end)?;
            (key.to_owned(), rest)
        }
    };
    let value = rest.trim_start_matches(is_blank).strip_prefix('=')?;
    (!key.is_empty()).then(|| (key, value.trim_matches(is_space).to_owned()))
}

/// A quoted name (the quote doubled stands for itself) and what follows it.
fn quoted(line: &str, quote: char) -> Option<(String, &str)> {
    let mut name = String::new();
    let mut chars = line.chars();
    chars.next();
    loop {
        let c = chars.next()?;
        if c == quote {
            match chars.as_str().strip_prefix(quote) {
                Some(after) => chars = after.chars(),
                None => return Some((name, chars.as_str())),
            }
        }
        name.push(c);
    }
}

/// C's `isspace`.
fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r' | '\x0b' | '\x0c')
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t')
}

/// As many levels as PgBouncer follows.
const DEEPEST_INCLUDE: u32 = 10;

/// What all files together may hold.
const MOST_BYTES: usize = 64 << 20;

/// What reading a file costs of that at least, so that empty files cannot be included without end.
const LEAST_COST: usize = 16 << 10;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::PathBuf;

    use super::*;

    fn read_files(files: &[(&str, &str)]) -> (Vec<String>, Vec<String>) {
        let source: BTreeMap<PathBuf, Vec<u8>> =
            files.iter().map(|(path, text)| (path.into(), text.as_bytes().to_vec())).collect();
        let mut problems = Vec::new();
        let items = read(Path::new(files[0].0), &source, &mut problems);
        let items = items.into_iter().map(|(place, item)| match item {
            Item::Section(name) => format!("{place} [{name}]"),
            Item::Entry { key, value } => format!("{place} {key}={value}"),
        });
        (items.collect(), problems.iter().map(ToString::to_string).collect())
    }

    fn one(line: &str) -> Vec<String> {
        let (items, problems) = read_files(&[("f", line)]);
        assert_eq!(problems, Vec::<String>::new(), "{line}");
        items.into_iter().map(|item| item.trim_start_matches("f:1 ").to_owned()).collect()
    }

    #[test]
    fn reads_entries_as_pgbouncer_does() {
        for (line, expected) in [
            ("a = b", "a=b"),
            ("a=b", "a=b"),
            ("\ta \t=\t b c \t\r", "a=b c"),
            ("a =", "a="),
            ("a = b # not a comment", "a=b # not a comment"),
            ("a = b ; neither", "a=b ; neither"),
            ("a = = b", "a== b"),
            (r"a = password='a\\b#c;d'", r"a=password='a\\b#c;d'"),
            ("App-1.x_y = b", "App-1.x_y=b"),
            ("* = host=h", "*=host=h"),
            ("\"a b\" = c", "a b=c"),
            ("\"a \"\"b\"\" = c\"=d", "a \"b\" = c=d"),
            ("'it''s' = c", "it's=c"),
            ("\"größe\" = c", "größe=c"),
            ("a = 'value'", "a='value'"),
        ] {
            assert_eq!(one(line), [expected], "{line}");
        }
    }

    #[test]
    fn comments_start_a_line_only() {
        for line in ["", "   ", "# x = y", "  ; x = y", "#[a]", "\r"] {
            assert_eq!(one(line), Vec::<String>::new(), "{line}");
        }
        assert_eq!(one("[a] ; comment"), ["[a]"]);
        assert_eq!(one("[a] x = 1"), ["[a]", "x=1"]);
    }

    #[test]
    fn syntax_errors_name_the_line_and_repeat_nothing() {
        let (items, problems) =
            read_files(&[("f", "[a]\nsecret value\n[b\n\"x = 1\nä = 1\n= 2\n%includefoo\nok = 1")]);
        assert_eq!(items, ["f:1 [a]", "f:8 ok=1"]);
        let lines: Vec<_> = problems.iter().map(|p| p.split(": ").next().unwrap()).collect();
        assert_eq!(lines, ["f:2", "f:3", "f:4", "f:5", "f:6", "f:7"]);
        assert!(problems.iter().all(|p| !p.contains("secret")));
    }

    #[test]
    fn includes_continue_in_place_and_leave_their_section_open() {
        let (items, problems) = read_files(&[
            ("dir/a.ini", "[one]\n%include b.ini \t\r\nlisten_addr = *"),
            ("b.ini", "x = 1\n[two]\ny = 2"),
        ]);
        assert_eq!(
            items,
            ["dir/a.ini:1 [one]", "b.ini:1 x=1", "b.ini:2 [two]", "b.ini:3 y=2", "dir/a.ini:3 listen_addr=*"]
        );
        assert!(problems.is_empty());
    }

    #[test]
    fn includes_are_bounded() {
        let (items, problems) = read_files(&[("a", "x = 1\n%include a")]);
        assert_eq!((items.len(), problems.len()), (11, 1));
        assert_eq!(problems[0], "a:2: error: %include is nested too deeply");

        let (items, problems) = read_files(&[("a", "%include a\n".repeat(1000).as_str())]);
        assert_eq!((items.len(), problems.len()), (0, 1));
        let (_, problems) = read_files(&[("a", "%include b\n".repeat(5000).as_str()), ("b", "")]);
        assert_eq!(problems, ["b: error: the included files are too many or too long"]);
    }

    #[test]
    fn a_missing_include_is_reported_where_it_is_named() {
        let (_, problems) = read_files(&[("a", "\n%include nowhere")]);
        assert_eq!(problems, ["a:2: error: cannot read nowhere: entity not found"]);
        let source = BTreeMap::new();
        let mut problems = Vec::new();
        assert!(read(Path::new("x"), &source, &mut problems).is_empty());
        assert_eq!(problems[0].to_string(), "x: error: cannot read x: entity not found");
    }

    #[test]
    fn hostile_bytes_are_errors() {
        let source = BTreeMap::from([(PathBuf::from("f"), b"a = \xff\nb = \0\nc = 1".to_vec())]);
        let mut problems = Vec::new();
        assert_eq!(read(Path::new("f"), &source, &mut problems).len(), 1);
        assert_eq!(problems.len(), 2);
    }
}
