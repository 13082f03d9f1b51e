//! `options` of a startup packet: the command line of a PostgreSQL backend, read as PostgreSQL reads it.
//!
//! Every switch stands for settings; which values they may have is asked of PostgreSQL later. Switches that
//! only the postmaster or a standalone backend heeds are accepted without effect, as by PostgreSQL.

use howdah_wire::ErrorResponse;

use crate::refusal;

/// The settings that `options` stand for, in their order.
///
/// # Errors
/// PostgreSQL knows no such switch, or its argument is missing or not of its kind.
pub(super) fn settings(options: &str) -> Result<Vec<(String, String)>, ErrorResponse> {
    let words = split_words(options);
    let mut found = Vec::new();
    let mut stray = None;
    let mut rest = words.iter();
    while let Some(word) = rest.next() {
        if word == "--" {
            stray = stray.or_else(|| rest.next());
            break;
        }
        let Some(switches) = word.strip_prefix('-').filter(|switches| !switches.is_empty()) else {
            // PostgreSQL reads what stands behind it first.
            stray = stray.or(Some(word));
            continue;
        };
        let mut switches = switches.chars();
        while let Some(switch) = switches.next() {
            let takes = takes_argument(switch).ok_or_else(|| refusal::backend_switch(word))?;
            if !takes {
                found.extend(flag(switch));
                continue;
            }
            let attached = std::mem::replace(&mut switches, "".chars()).as_str();
            let argument = match attached {
                "" => rest.next().ok_or_else(|| refusal::backend_switch(word))?,
                attached => attached,
            };
            found.extend(setting(switch, argument, word)?);
        }
    }
    match stray {
        Some(word) => Err(refusal::backend_switch(word)),
        None => Ok(found),
    }
}

/// `None`: there is no such switch.
fn takes_argument(switch: char) -> Option<bool> {
    match switch {
        '-' | 'c' | 'B' | 'C' | 'D' | 'd' | 'f' | 'h' | 'k' | 'N' | 'p' | 'r' | 'S' | 't' | 'v' | 'W' => {
            Some(true)
        }
        'b' | 'E' | 'e' | 'F' | 'i' | 'j' | 'l' | 'n' | 'O' | 'P' | 's' | 'T' => Some(false),
        _ => None,
    }
}

fn flag(switch: char) -> Option<(String, String)> {
    let (name, value) = match switch {
        'e' => ("datestyle", "euro"),
        'F' => ("fsync", "false"),
        'i' => ("listen_addresses", "*"),
        'l' => ("ssl", "true"),
        'O' => ("allow_system_table_mods", "true"),
        'P' => ("ignore_system_indexes", "true"),
        's' => ("log_statement_stats", "true"),
        _ => return None,
    };
    Some((name.to_owned(), value.to_owned()))
}

fn setting(switch: char, argument: &str, word: &str) -> Result<Vec<(String, String)>, ErrorResponse> {
    let wrong = || refusal::backend_switch(word);
    let name = match switch {
        '-' | 'c' => {
            let Some((name, value)) = argument.split_once('=') else {
                return Err(refusal::switch_without_value(switch, argument));
            };
            return Ok(vec![(name.replace('-', "_"), value.to_owned())]);
        }
        'd' => return Ok(debugging(argument)),
        'f' => disabled(argument).ok_or_else(wrong)?,
        't' => statistics(argument).ok_or_else(wrong)?,
        'B' => "shared_buffers",
        'h' => "listen_addresses",
        'k' => "unix_socket_directories",
        'N' => "max_connections",
        'p' => "port",
        'S' => "work_mem",
        'W' => "post_auth_delay",
        _ => return Ok(Vec::new()),
    };
    let value = match switch {
        'f' => "false",
        't' => "true",
        _ => argument,
    };
    Ok(vec![(name.to_owned(), value.to_owned())])
}

/// `-d level`
fn debugging(level: &str) -> Vec<(String, String)> {
    let digits = level.bytes().take_while(u8::is_ascii_digit).count();
    let level = level.get(..digits).and_then(|digits| digits.parse::<u32>().ok()).unwrap_or(0);
    let messages = if level > 0 { format!("debug{level}") } else { "notice".to_owned() };
    let mut settings = vec![("log_min_messages".to_owned(), messages)];
    let more = [
        (2, "log_statement", "all"),
        (3, "debug_print_parse", "true"),
        (4, "debug_print_plan", "true"),
        (5, "debug_print_rewritten", "true"),
    ];
    settings.extend(
        more.into_iter()
            .filter(|&(from, ..)| level >= from)
            .map(|(_, name, value)| (name.to_owned(), value.to_owned())),
    );
    settings
}

/// `-f kind`: a way to scan or to join that is not to be used.
fn disabled(kind: &str) -> Option<&'static str> {
    Some(match kind.chars().next()? {
        's' => "enable_seqscan",
        'i' => "enable_indexscan",
        'o' => "enable_indexonlyscan",
        'b' => "enable_bitmapscan",
        't' => "enable_tidscan",
        'n' => "enable_nestloop",
        'm' => "enable_mergejoin",
        'h' => "enable_hashjoin",
        _ => return None,
    })
}

/// `-t kind`: a part of the work to keep statistics of.
fn statistics(kind: &str) -> Option<&'static str> {
    let mut letters = kind.chars();
    Some(match (letters.next()?, letters.next()) {
        ('p', Some('a')) => "log_parser_stats",
        ('p', Some('l')) => "log_planner_stats",
        ('e', _) => "log_executor_stats",
        _ => return None,
    })
}

/// Words between white space; a backslash takes the next character as it is.
fn split_words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            c if c.is_ascii_whitespace() || c == '\x0b' => words.extend(word.take()),
            '\\' => word.get_or_insert_default().extend(chars.next()),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(options: &str) -> String {
        match settings(options) {
            Ok(list) => {
                let list: Vec<String> = list.iter().map(|(name, value)| format!("{name}={value}")).collect();
                list.join("; ")
            }
            Err(error) => format!("{} {}", error.code, error.message),
        }
    }

    #[test]
    fn settings_have_three_spellings() {
        let words = r"-c datestyle=ISO\,\ MDY --time-zone=UTC  -cintervalstyle=a\\b --application-name=x=y ";
        assert_eq!(
            read(words),
            r"datestyle=ISO, MDY; time_zone=UTC; intervalstyle=a\b; application_name=x=y"
        );
        assert_eq!(read(""), "");
        assert_eq!(read("-c a="), "a=");
        assert_eq!(read("-c geqo"), "42601 -c geqo requires a value");
        assert_eq!(read("--geqo"), "42601 --geqo requires a value");
    }

    #[test]
    fn switches_stand_for_settings() {
        assert_eq!(read("-e -S 64 -ft"), "datestyle=euro; work_mem=64; enable_tidscan=false");
        assert_eq!(
            read("-OsW1"),
            "allow_system_table_mods=true; log_statement_stats=true; post_auth_delay=1"
        );
        assert_eq!(read("-d3"), "log_min_messages=debug3; log_statement=all; debug_print_parse=true");
        assert_eq!(read("-d 0"), "log_min_messages=notice");
        assert_eq!(
            read("-tpa -t pl -tex"),
            "log_parser_stats=true; log_planner_stats=true; log_executor_stats=true"
        );
        assert_eq!(read("-b -E -j -n -T -C x -D x -r x -v x"), "");
        assert_eq!(read("-e --"), "datestyle=euro");
    }

    #[test]
    fn what_is_no_switch_is_named() {
        for (options, named) in [
            ("-z", "-z"),
            ("-c", "-c"),
            ("-ez", "-ez"),
            ("geqo=off", "geqo=off"),
            ("geqo=off -e", "geqo=off"),
            ("-", "-"),
            ("-- x", "x"),
            ("-fx", "-fx"),
            ("-tx", "-tx"),
            ("\\", ""),
        ] {
            let expected = format!("42601 invalid command-line argument for server process: {named}");
            assert_eq!(read(options), expected, "{options:?}");
        }
    }
}
