//! Prometheus's text format, version 0.0.4.

use std::fmt::{self, Write};
use std::time::Duration;

/// What becomes of a number in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// It grows until Howdah is started anew.
    Counter,
    /// It comes and goes.
    Gauge,
}

impl Kind {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        }
    }
}

/// The value of a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Count(u64),
    /// Written in seconds.
    Time(Duration),
    /// A limit that is none.
    Unlimited,
}

impl Value {
    /// A time counted in microseconds.
    pub(super) fn microseconds(count: u64) -> Value {
        Value::Time(Duration::from_micros(count))
    }

    /// A limit where 0 is none.
    pub(super) fn limit(limit: u32) -> Value {
        if limit == 0 { Value::Unlimited } else { limit.into() }
    }

    /// A size where the largest number is none; one less than none is none too.
    pub(super) fn size(size: u32) -> Value {
        if size >= u32::MAX - 1 { Value::Unlimited } else { size.into() }
    }
}

impl From<u64> for Value {
    fn from(count: u64) -> Value {
        Value::Count(count)
    }
}

impl From<u32> for Value {
    fn from(count: u32) -> Value {
        Value::Count(count.into())
    }
}

impl From<bool> for Value {
    fn from(yes: bool) -> Value {
        Value::Count(yes.into())
    }
}

impl From<Duration> for Value {
    fn from(time: Duration) -> Value {
        Value::Time(time)
    }
}

/// Digit by digit, since a float would round what has been counted for years.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Count(count) => count.fmt(f),
            Value::Time(time) if time.subsec_nanos() == 0 => time.as_secs().fmt(f),
            Value::Time(time) => {
                let fraction = format!("{:09}", time.subsec_nanos());
                write!(f, "{}.{}", time.as_secs(), fraction.trim_end_matches('0'))
            }
            Value::Unlimited => f.write_str("+Inf"),
        }
    }
}

/// A page as it is written, family by family.
#[derive(Debug, Default)]
pub(super) struct Page {
    pub(super) text: String,
}

impl Page {
    /// What the samples to come are.
    pub(super) fn begin(&mut self, name: &str, kind: Kind, help: &str) {
        // Writing to a `String` cannot fail, here and below.
        let _ = write!(self.text, "# HELP {name} ");
        escape(&mut self.text, help, false);
        let _ = writeln!(self.text, "\n# TYPE {name} {}", kind.as_str());
    }

    /// A sample, with labels by name and value.
    pub(super) fn sample<'a>(
        &mut self,
        name: &str,
        labels: impl Iterator<Item = (&'static str, &'a str)>,
        value: Value,
    ) {
        self.text.push_str(name);
        let mut before = '{';
        for (label, value) in labels {
            self.text.push(before);
            self.text.push_str(label);
            self.text.push_str("=\"");
            escape(&mut self.text, value, true);
            self.text.push('"');
            before = ',';
        }
        if before == ',' {
            self.text.push('}');
        }
        let _ = writeln!(self.text, " {value}");
    }
}

fn escape(out: &mut String, text: &str, in_quotes: bool) {
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '"' if in_quotes => out.push_str("\\\""),
            c => out.push(c),
        }
    }
}
