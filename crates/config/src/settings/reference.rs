//! The reference chapter `docs/settings.md`, written from the table.

use std::fmt::Write;

use super::{Category, Setting, Status, all};
use crate::entry::{DATABASE_KEYS, USER_KEYS};

/// The chapter as Markdown. The committed file is compared with it by a test.
#[must_use]
pub fn markdown() -> String {
    let mut text = INTRODUCTION.to_owned();
    for category in CATEGORIES {
        let _ = write!(text, "\n## {}\n", title(category));
        for setting in all().filter(|setting| setting.category == category) {
            describe(setting, &mut text);
        }
    }
    text.push_str(ENTRIES);
    for (section, keys) in [("databases", DATABASE_KEYS), ("users", USER_KEYS)] {
        let _ = write!(text, "\n### Keys in [{section}]\n\n");
        for (key, meaning) in keys {
            let _ = writeln!(text, "- `{key}`: {meaning}");
        }
    }
    text
}

fn describe(setting: &Setting, text: &mut String) {
    let default = match setting.default {
        None => "unset".to_owned(),
        Some("") => "empty".to_owned(),
        Some(value) => format!("`{value}`"),
    };
    let change = if setting.reloadable { "by reload or SET" } else { "by restart only" };
    let Setting { name, since, short, .. } = setting;
    // Writing to a `String` cannot fail.
    let _ = write!(text, "\n### {name}\n\n");
    let _ = writeln!(
        text,
        "{}{}.\n",
        short.get(..1).unwrap_or_default().to_uppercase(),
        short.get(1..).unwrap_or_default()
    );
    let _ = writeln!(
        text,
        "Type: {}. Default: {default}. Changes {change}. From {since}.",
        setting.value.describe()
    );
    let status = match setting.status {
        Status::Built => "",
        Status::NotBuilt => "Not built yet: read and checked, reported at the start, without effect.",
        Status::Refused(_) => "Not built yet: a value that asks for protection stops the start.",
        Status::NoEffect => "Accepted without effect.",
    };
    for paragraph in [setting.long, status].into_iter().filter(|paragraph| !paragraph.is_empty()) {
        let _ = write!(text, "\n{paragraph}\n");
    }
}

fn title(category: Category) -> &'static str {
    match category {
        Category::Listen => "The process and where it listens",
        Category::Access => "Who may enter",
        Category::Pool => "Server connections",
        Category::State => "Session state",
        Category::Timeouts => "Times",
        Category::Clients => "How many clients",
        Category::Log => "Logs and figures",
        Category::Network => "Sockets and host names",
        Category::Tls => "Encryption",
    }
}

const CATEGORIES: [Category; 9] = [
    Category::Listen,
    Category::Access,
    Category::Pool,
    Category::State,
    Category::Timeouts,
    Category::Clients,
    Category::Log,
    Category::Network,
    Category::Tls,
];

const INTRODUCTION: &str = "\
<!-- Written by `howdah_config::reference`; change crates/config/src/settings instead,
     then run: UPDATE_DOCS=1 cargo test -p howdah-config reference -->

# Settings

Every setting of the section `[pgbouncer]`, with PgBouncer's name and meaning. Times are seconds, and fractions are
allowed. Numbers may be hexadecimal (`0x10`) or octal (`010`). A `#` or `;` is a comment at the beginning of a line only.
";

const ENTRIES: &str = "
## Databases and users

An entry of `[databases]` or `[users]` is `name = key=value key=value …`. Pairs are separated by spaces; a value with
spaces is put in single quotes, and a quote inside it is written twice. A name with characters other than letters, digits
and `_.-` is put in double quotes. The database `*` is for every name without an entry; `pgbouncer` and `howdah` are the
console. A size or limit below 0, or a time of 0, means what is said elsewhere; a limit of 0 is no limit.
";

#[cfg(test)]
mod tests {
    use std::path::Path;

    #[test]
    fn the_committed_reference_is_current() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/settings.md");
        let current = super::markdown();
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(&path, &current).expect("docs/ is writable");
        }
        let committed = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(committed == current, "run: UPDATE_DOCS=1 cargo test -p howdah-config reference");
    }
}
