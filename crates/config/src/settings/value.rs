//! Where in [`Settings`] a setting lives, and how its text is read and shown there.

use std::path::PathBuf;
use std::time::Duration;

use howdah_core::settings::{
    AuthMethod, IoEngine, LogFormat, MaxPinned, PoolMode, Settings, StateCheck, StatePolicy,
};

use super::state;
use super::text::{self, Invalid};

/// A field of [`Settings`].
pub struct Place<T: 'static> {
    pub(crate) get: fn(&Settings) -> &T,
    pub(crate) get_mut: fn(&mut Settings) -> &mut T,
}

/// Names a field: `at!(pool.size)`.
macro_rules! at {
    ($($field:ident).+) => {
        $crate::settings::value::Place { get: |s| &s.$($field).+, get_mut: |s| &mut s.$($field).+ }
    };
}
pub(crate) use at;

/// A setting's type and field.
pub enum Value {
    /// `0` or `1`.
    Flag(Place<bool>),
    /// A number, at least so much.
    Number(Place<u32>, u32),
    /// A number; `0` is no limit, which the pool sees as the largest number.
    Size(Place<u32>),
    /// A number; `0` is no limit.
    Limit(Place<Option<u32>>),
    /// A number up to so much; `0` leaves it to Howdah or the system.
    Count(Place<Option<usize>>, u32),
    /// A TCP port.
    Port(Place<u16>),
    /// Permission bits, octal by a leading `0`.
    Permissions(Place<u32>),
    /// Seconds, with fractions.
    Seconds(Place<Duration>),
    /// Seconds, with fractions; `0` switches it off.
    Timeout(Place<Option<Duration>>),
    /// Seconds, with fractions; `0` is a time like any other.
    Age(Place<Option<Duration>>),
    /// Milliseconds; `0` leaves it to the system.
    Milliseconds(Place<Option<Duration>>),
    /// Text; empty switches it off.
    Text(Place<Option<String>>),
    /// SQL; `<empty>` is an empty query, empty switches it off.
    Query(Place<Option<String>>),
    /// A file's path; empty: none.
    Path(Place<Option<PathBuf>>),
    /// Words separated by commas.
    List(Place<Vec<String>>),
    /// `pool_mode`.
    PoolMode(Place<PoolMode>),
    /// `auth_type`.
    AuthMethod(Place<AuthMethod>),
    /// `io_engine`.
    IoEngine(Place<IoEngine>),
    /// `log_format`.
    LogFormat(Place<LogFormat>),
    /// `session_state`.
    StatePolicy(Place<StatePolicy>),
    /// `session_state_check`.
    StateCheck(Place<StateCheck>),
    /// `max_pinned`.
    MaxPinned(Place<MaxPinned>),
    /// Checked as PgBouncer would, then forgotten: nothing in Howdah reads it.
    Unread(Shape),
}

/// What the text of a setting that nothing reads must look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// `0` or `1`.
    Flag,
    /// A whole number.
    Number,
    /// Seconds, with fractions.
    Seconds,
    /// Anything.
    Text,
    /// One of these words.
    Word(&'static [&'static str]),
}

impl Value {
    /// Reads a text into its field.
    pub(crate) fn set(&self, settings: &mut Settings, text: &str) -> Result<(), Invalid> {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        match self {
            Value::Flag(at) => at.put(settings, text::flag(text)?),
            Value::Number(at, min) => at.put(settings, number(text, *min)?),
            Value::Size(at) => at.put(settings, limit(text)?.unwrap_or(u32::MAX)),
            Value::Limit(at) => at.put(settings, limit(text)?),
            Value::Count(at, max) => {
                let count = usize::try_from(text::integer_in(text, 0, i64::from(*max))?).unwrap_or_default();
                at.put(settings, (count > 0).then_some(count));
            }
            Value::Port(at) => {
                let port = text::integer_in(text, 0, i64::from(u16::MAX))?;
                at.put(settings, u16::try_from(port).unwrap_or_default());
            }
            Value::Permissions(at) => {
                let bits = text::integer_in(text, 0, 0o7777)?;
                at.put(settings, u32::try_from(bits).unwrap_or_default());
            }
            Value::Seconds(at) => at.put(settings, text::seconds(text)?),
            Value::Timeout(at) => at.put(settings, Some(text::seconds(text)?).filter(|time| !time.is_zero())),
            Value::Age(at) => at.put(settings, Some(text::seconds(text)?)),
            Value::Milliseconds(at) => {
                at.put(settings, limit(text)?.map(|time| Duration::from_millis(time.into())));
            }
            Value::Text(at) => at.put(settings, some(text)),
            Value::Query(at) if text == EMPTY_QUERY => at.put(settings, Some(String::new())),
            Value::Query(at) => at.put(settings, some(text)),
            Value::Path(at) => at.put(settings, some(text).map(PathBuf::from)),
            Value::List(at) => at.put(settings, text::list(text)),
            Value::PoolMode(at) => at.put(
                settings,
                text::word(text::POOL_MODES, text).ok_or(Invalid::NotAWord(text::POOL_MODE_WORDS))?,
            ),
            Value::AuthMethod(at) => at.put(settings, auth_method(text)?),
            Value::IoEngine(at) => at.put(
                settings,
                text::word(text::IO_ENGINES, text).ok_or(Invalid::NotAWord(text::IO_ENGINE_WORDS))?,
            ),
            Value::LogFormat(at) => at.put(
                settings,
                text::word(text::LOG_FORMATS, text).ok_or(Invalid::NotAWord(text::LOG_FORMAT_WORDS))?,
            ),
            Value::StatePolicy(at) => {
                at.put(settings, StatePolicy::default().with(state::choice(text)?));
            }
            Value::StateCheck(at) => at
                .put(settings, text::word(state::CHECKS, text).ok_or(Invalid::NotAWord(state::CHECK_WORDS))?),
            Value::MaxPinned(at) => at.put(settings, state::max_pinned(text)?),
            Value::Unread(shape) => {
                shape.normal(text)?;
            }
        }
        Ok(())
    }

    /// The value in force, in a spelling that [`Value::set`] reads; `None`: nothing in Howdah holds one.
    pub(crate) fn show(&self, settings: &Settings) -> Option<String> {
        let optional = |value: Option<String>| value.unwrap_or_default();
        let zero = || "0".to_owned();
        Some(match self {
            Value::Flag(at) => u8::from(*at.read(settings)).to_string(),
            Value::Number(at, _) => at.read(settings).to_string(),
            Value::Size(at) if *at.read(settings) == u32::MAX => zero(),
            Value::Size(at) => at.read(settings).to_string(),
            Value::Limit(at) => at.read(settings).map_or_else(zero, |limit| limit.to_string()),
            Value::Count(at, _) => at.read(settings).map_or_else(zero, |count| count.to_string()),
            Value::Port(at) => at.read(settings).to_string(),
            Value::Permissions(at) => format!("0{:03o}", at.read(settings)),
            Value::Seconds(at) => text::show_seconds(*at.read(settings)),
            Value::Timeout(at) | Value::Age(at) => at.read(settings).map_or_else(zero, text::show_seconds),
            Value::Milliseconds(at) => {
                at.read(settings).map_or_else(zero, |time| time.as_millis().to_string())
            }
            Value::Text(at) => optional(at.read(settings).clone()),
            Value::Query(at) => match at.read(settings) {
                Some(query) if query.is_empty() => EMPTY_QUERY.to_owned(),
                query => optional(query.clone()),
            },
            Value::Path(at) => optional(at.read(settings).as_ref().map(|path| path.display().to_string())),
            Value::List(at) => at.read(settings).join(","),
            Value::PoolMode(at) => text::show_word(text::POOL_MODES, at.read(settings)),
            Value::AuthMethod(at) => text::show_word(text::AUTH_METHODS, at.read(settings)),
            Value::IoEngine(at) => text::show_word(text::IO_ENGINES, at.read(settings)),
            Value::LogFormat(at) => text::show_word(text::LOG_FORMATS, at.read(settings)),
            Value::StatePolicy(at) => state::show(at.read(settings)),
            Value::StateCheck(at) => text::show_word(state::CHECKS, at.read(settings)),
            Value::MaxPinned(at) => state::show_max_pinned(*at.read(settings)),
            Value::Unread(_) => return None,
        })
    }

    /// The type in words, for the reference.
    pub(crate) fn describe(&self) -> String {
        match self {
            Value::Flag(_) | Value::Unread(Shape::Flag) => "flag: 0 or 1".to_owned(),
            Value::Number(..) | Value::Unread(Shape::Number) => "number".to_owned(),
            Value::Size(_) | Value::Limit(_) => "number, 0 for no limit".to_owned(),
            Value::Count(..) => "number, 0 for the best choice".to_owned(),
            Value::Port(_) => "port".to_owned(),
            Value::Permissions(_) => "octal number, with a leading 0".to_owned(),
            Value::Seconds(_) | Value::Age(_) | Value::Unread(Shape::Seconds) => "seconds".to_owned(),
            Value::Timeout(_) => "seconds, 0 for off".to_owned(),
            Value::Milliseconds(_) => "milliseconds, 0 for the system's default".to_owned(),
            Value::Text(_) | Value::Unread(Shape::Text) => "text".to_owned(),
            Value::Query(_) => "SQL".to_owned(),
            Value::Path(_) => "path".to_owned(),
            Value::List(_) => "list with commas".to_owned(),
            Value::PoolMode(_) => text::POOL_MODE_WORDS.join(", "),
            Value::AuthMethod(_) => text::AUTH_METHOD_WORDS.join(", "),
            Value::IoEngine(_) => text::IO_ENGINE_WORDS.join(", "),
            Value::LogFormat(_) => text::LOG_FORMAT_WORDS.join(", "),
            Value::StatePolicy(_) => "list with commas".to_owned(),
            Value::StateCheck(_) => state::CHECK_WORDS.join(", "),
            Value::MaxPinned(_) => "number, 0 for no limit, or auto".to_owned(),
            Value::Unread(Shape::Word(words)) => words.join(", "),
        }
    }
}

impl Shape {
    /// One spelling for texts that mean the same.
    pub(crate) fn normal(self, text: &str) -> Result<String, Invalid> {
        Ok(match self {
            Shape::Flag => u8::from(text::flag(text)?).to_string(),
            Shape::Number => text::integer(text)?.to_string(),
            Shape::Seconds => text::show_seconds(text::seconds(text)?),
            Shape::Text => text.to_owned(),
            Shape::Word(words) => {
                let word = words.iter().find(|word| word.eq_ignore_ascii_case(text));
                (*word.ok_or(Invalid::NotAWord(words))?).to_owned()
            }
        })
    }
}

impl<T> Place<T> {
    fn read<'s>(&self, settings: &'s Settings) -> &'s T {
        (self.get)(settings)
    }

    fn put(&self, settings: &mut Settings, value: T) {
        *(self.get_mut)(settings) = value;
    }
}

fn number(text: &str, min: u32) -> Result<u32, Invalid> {
    let value = text::integer_in(text, min.into(), u32::MAX.into())?;
    u32::try_from(value).map_err(|_| Invalid::NotANumber)
}

/// A number where `0` is none.
fn limit(text: &str) -> Result<Option<u32>, Invalid> {
    number(text, 0).map(|value| (value > 0).then_some(value))
}

fn auth_method(text: &str) -> Result<AuthMethod, Invalid> {
    match text::word(text::AUTH_METHODS, text) {
        Some(method) => Ok(method),
        None if text::UNBUILT_AUTH_METHODS.iter().any(|word| word.eq_ignore_ascii_case(text)) => {
            Err(Invalid::Refused)
        }
        None => Err(Invalid::NotAWord(text::AUTH_METHOD_WORDS)),
    }
}

const EMPTY_QUERY: &str = "<empty>";
