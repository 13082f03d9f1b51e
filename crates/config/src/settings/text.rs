//! How a setting's text becomes a value and back: PgBouncer's numbers, times and words.

use std::time::Duration;

use howdah_core::settings::{AuthMethod, IoEngine, LogFormat, Policy, PoolMode, StateKind};
use thiserror::Error;

use super::state;

/// Why a text is no value for a setting.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub(crate) enum Invalid {
    #[error("expected a whole number")]
    NotANumber,
    #[error("expected a number from {0} to {1}")]
    OutOfRange(i64, i64),
    #[error("expected 0 or 1")]
    NotAFlag,
    #[error("expected a number of seconds, at least 0")]
    NotATime,
    #[error("expected one of {}", .0.join(", "))]
    NotAWord(&'static [&'static str]),
    #[error("expected one of {} before the colon", state::kinds())]
    NotAStateKind,
    #[error("{kind} cannot be set to {}: {} takes one of {}", policy.as_str(), kind.as_str(), policies(*kind))]
    Impossible { kind: StateKind, policy: Policy },
    #[error("expected auto or a whole number")]
    NotAutoOrNumber,
    #[error(
        "known to PgBouncer, not built yet; without it access or encryption would be weaker than asked for"
    )]
    Refused,
}

fn policies(kind: StateKind) -> String {
    kind.policies().iter().map(|policy| policy.as_str()).collect::<Vec<_>>().join(", ")
}

/// A number as C's `strtol` with base 0 reads it: `0x` is hexadecimal, a leading `0` octal.
pub(crate) fn integer(text: &str) -> Result<i64, Invalid> {
    let (negative, digits) = match text.as_bytes().first() {
        Some(b'-') => (true, text.get(1..).unwrap_or_default()),
        Some(b'+') => (false, text.get(1..).unwrap_or_default()),
        _ => (false, text),
    };
    let (radix, digits) = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        Some(hex) => (16, hex),
        None if digits.starts_with('0') => (8, digits),
        None => (10, digits),
    };
    // `from_str_radix` would take a second sign.
    if !digits.starts_with(|c: char| c.is_digit(radix)) {
        return Err(Invalid::NotANumber);
    }
    let value = i64::from_str_radix(digits, radix).map_err(|_| Invalid::NotANumber)?;
    Ok(if negative { -value } else { value })
}

/// A number within bounds.
pub(crate) fn integer_in(text: &str, min: i64, max: i64) -> Result<i64, Invalid> {
    let value = integer(text)?;
    if (min..=max).contains(&value) { Ok(value) } else { Err(Invalid::OutOfRange(min, max)) }
}

/// A flag: any number but 0 is yes. PgBouncer knows no other spelling.
pub(crate) fn flag(text: &str) -> Result<bool, Invalid> {
    integer(text).map(|value| value != 0).map_err(|_| Invalid::NotAFlag)
}

/// Seconds, possibly with a fraction; microseconds are the finest that counts.
pub(crate) fn seconds(text: &str) -> Result<Duration, Invalid> {
    let value: f64 = text.parse().map_err(|_| Invalid::NotATime)?;
    if !value.is_finite() || value < 0.0 {
        return Err(Invalid::NotATime);
    }
    // Beyond `LONGEST` a time means "never", and adding it to the clock must not overflow.
    Ok(Duration::try_from_secs_f64(value).map_or(LONGEST, |time| {
        Duration::from_micros(u64::try_from(time.min(LONGEST).as_micros()).unwrap_or(u64::MAX))
    }))
}

/// A time as [`seconds`] reads it.
pub(crate) fn show_seconds(time: Duration) -> String {
    if time.subsec_nanos() == 0 { time.as_secs().to_string() } else { time.as_secs_f64().to_string() }
}

/// The entries of a comma-separated list.
pub(crate) fn list(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|entry| !entry.is_empty()).map(str::to_owned).collect()
}

/// A value's word in any case; `None` if it is not one of them.
pub(crate) fn word<T: Copy>(words: &[(&str, T)], text: &str) -> Option<T> {
    words.iter().find(|(word, _)| word.eq_ignore_ascii_case(text)).map(|&(_, value)| value)
}

/// The word of a value.
pub(crate) fn show_word<T: PartialEq>(words: &[(&'static str, T)], value: &T) -> String {
    words.iter().find(|(_, known)| known == value).map_or(String::new(), |(word, _)| (*word).to_owned())
}

pub(crate) const POOL_MODES: &[(&str, PoolMode)] = &[
    ("session", PoolMode::Session),
    ("transaction", PoolMode::Transaction),
    ("statement", PoolMode::Statement),
];
pub(crate) const POOL_MODE_WORDS: &[&str] = &["session", "transaction", "statement"];

pub(crate) const AUTH_METHODS: &[(&str, AuthMethod)] = &[
    ("any", AuthMethod::Any),
    ("trust", AuthMethod::Trust),
    ("plain", AuthMethod::Plain),
    ("md5", AuthMethod::Md5),
    ("scram-sha-256", AuthMethod::ScramSha256),
];
pub(crate) const AUTH_METHOD_WORDS: &[&str] = &["any", "trust", "plain", "md5", "scram-sha-256"];
pub(crate) const UNBUILT_AUTH_METHODS: &[&str] = &["cert", "hba", "ldap", "pam"];

pub(crate) const IO_ENGINES: &[(&str, IoEngine)] =
    &[("auto", IoEngine::Auto), ("uring", IoEngine::Uring), ("plain", IoEngine::Plain)];
pub(crate) const IO_ENGINE_WORDS: &[&str] = &["auto", "uring", "plain"];

pub(crate) const LOG_FORMATS: &[(&str, LogFormat)] = &[("text", LogFormat::Text), ("json", LogFormat::Json)];
pub(crate) const LOG_FORMAT_WORDS: &[&str] = &["text", "json"];

/// Some thirty years.
const LONGEST: Duration = Duration::from_secs(1_000_000_000);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_c() {
        for (text, expected) in [
            ("0", Ok(0)),
            ("42", Ok(42)),
            ("-1", Ok(-1)),
            ("+7", Ok(7)),
            ("0777", Ok(0o777)),
            ("0x10", Ok(16)),
            ("", Err(Invalid::NotANumber)),
            ("ten", Err(Invalid::NotANumber)),
            ("10s", Err(Invalid::NotANumber)),
            ("1.5", Err(Invalid::NotANumber)),
            ("--1", Err(Invalid::NotANumber)),
            ("+-1", Err(Invalid::NotANumber)),
            ("0x", Err(Invalid::NotANumber)),
            ("08", Err(Invalid::NotANumber)),
            ("99999999999999999999", Err(Invalid::NotANumber)),
        ] {
            assert_eq!(integer(text), expected, "{text}");
        }
        assert_eq!(integer_in("5", 0, 4), Err(Invalid::OutOfRange(0, 4)));
    }

    #[test]
    fn flags_are_numbers() {
        for (text, expected) in [
            ("0", Ok(false)),
            ("1", Ok(true)),
            ("2", Ok(true)),
            ("yes", Err(Invalid::NotAFlag)),
            ("", Err(Invalid::NotAFlag)),
        ] {
            assert_eq!(flag(text), expected, "{text}");
        }
    }

    #[test]
    fn times_have_fractions_and_bounds() {
        let micros = Duration::from_micros;
        for (text, expected) in [
            ("0", Ok(Duration::ZERO)),
            ("15", Ok(Duration::from_secs(15))),
            ("1.5", Ok(micros(1_500_000))),
            (".25", Ok(micros(250_000))),
            ("1e3", Ok(Duration::from_secs(1000))),
            ("0.0000001", Ok(Duration::ZERO)),
            ("1e300", Ok(LONGEST)),
            ("-1", Err(Invalid::NotATime)),
            ("nan", Err(Invalid::NotATime)),
            ("inf", Err(Invalid::NotATime)),
            ("15s", Err(Invalid::NotATime)),
            ("", Err(Invalid::NotATime)),
        ] {
            assert_eq!(seconds(text), expected, "{text}");
        }
        for text in ["0", "15", "1.5", "0.25", "1000000000"] {
            assert_eq!(show_seconds(seconds(text).unwrap()), text);
        }
    }

    #[test]
    fn the_word_lists_agree() {
        fn words<T>(table: &[(&'static str, T)]) -> Vec<&'static str> {
            table.iter().map(|(word, _)| *word).collect()
        }
        assert_eq!(words(POOL_MODES), POOL_MODE_WORDS);
        assert_eq!(words(AUTH_METHODS), AUTH_METHOD_WORDS);
        assert_eq!(words(LOG_FORMATS), LOG_FORMAT_WORDS);
    }
}
