//! What of a session may have changed, and so has to be asked about.

use howdah_wire::sql::{Head, Sign, Signs, Statements};

/// Kinds of question.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asks(u16);

/// What may have changed since the server was last asked.
#[derive(Debug, Default)]
pub struct Doubts {
    pub(super) asks: Asks,
    /// Settings that may have changed, by name.
    pub(super) names: Vec<Box<str>>,
    /// Any setting may be among them.
    unknown: bool,
    /// Settings may have been reset and not set right since: any of them.
    resets: bool,
    /// The same of those named here.
    reset: Vec<Box<str>>,
    /// Some of it may have been taken back.
    undone: bool,
    /// The text that raised the first of them, or the first of those that pin.
    cause: Box<str>,
    /// It is one that pins, by its own words.
    cause_pins: bool,
    /// The last question failed: it is asked again only after another transaction.
    pub(super) postponed: bool,
}

impl Asks {
    /// The named settings.
    pub const NAMED: Asks = Asks(1);
    /// All settings.
    pub const SETTINGS: Asks = Asks(1 << 1);
    /// Role and session authorization.
    pub const ROLE: Asks = Asks(1 << 2);
    /// Statements prepared by SQL.
    pub const STATEMENTS: Asks = Asks(1 << 3);
    /// Temporary objects.
    pub const TEMP: Asks = Asks(1 << 4);
    /// Session level advisory locks.
    pub const LOCKS: Asks = Asks(1 << 5);
    /// Cursors that outlive their transaction.
    pub const CURSORS: Asks = Asks(1 << 6);
    /// Channels listened to.
    pub const CHANNELS: Asks = Asks(1 << 7);
    /// Temporary replication slots.
    pub const SLOTS: Asks = Asks(1 << 8);
    /// What sequences have given, which nobody can ask about.
    pub const SEQUENCES: Asks = Asks(1 << 9);
    /// Settings that who logged in may not make, which come to light with others.
    pub const PRIVILEGED: Asks = Asks(1 << 10);
    /// Everything that can be asked about.
    pub const EVERYTHING: Asks = Asks((1 << 9) - 1);

    /// Any of `other` is among these.
    #[must_use]
    pub fn has(self, other: Asks) -> bool {
        self.0 & other.0 != 0
    }

    /// These and `other`.
    #[must_use]
    pub const fn and(self, other: Asks) -> Asks {
        Asks(self.0 | other.0)
    }

    /// These but not `other`.
    #[must_use]
    pub fn without(self, other: Asks) -> Asks {
        Asks(self.0 & !other.0)
    }

    /// Nothing.
    #[inline]
    #[must_use]
    pub fn is_none(self) -> bool {
        self.0 == 0
    }
}

impl Doubts {
    /// Nothing has to be asked.
    #[inline]
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.asks.is_none()
    }

    /// There is something to ask, and now is the time.
    #[inline]
    #[must_use]
    pub fn is_due(&self) -> bool {
        !self.is_none() && !self.postponed
    }

    /// The last question failed, and what it was about is still not known.
    #[must_use]
    pub fn is_postponed(&self) -> bool {
        self.postponed
    }

    /// Another request of the client's: what failed may be asked again after it.
    #[inline]
    pub fn resume(&mut self) {
        self.postponed = false;
    }

    /// All that has to be asked about.
    #[must_use]
    pub fn asked(&self) -> Asks {
        self.asks
    }

    /// Any of these has to be asked about.
    #[must_use]
    pub fn has(&self, asks: Asks) -> bool {
        self.asks.has(asks)
    }

    /// It cannot be told from texts which settings have changed.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        self.unknown
    }

    /// It cannot be told any more which settings have changed.
    pub fn set_unknown(&mut self) {
        self.unknown = true;
    }

    /// Settings that may have changed, and what may be their names.
    pub fn named(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(AsRef::as_ref)
    }

    /// The text that raised them.
    #[must_use]
    pub fn cause(&self) -> &str {
        &self.cause
    }

    /// Something with these signs is sent to the server; `pinned`: what is known to live there and may end.
    /// `reported`: settings of which PostgreSQL tells by itself how they are.
    pub fn raise(&mut self, signs: &Signs, pinned: Asks, reported: impl Fn(&str) -> bool, text: &[u8]) {
        let mut asks = Asks::default();
        for (sign, about) in ABOUT {
            if signs.has(sign) {
                asks = asks.and(about);
            }
        }
        for (sign, about) in ENDS {
            if signs.has(sign) && pinned.has(about) {
                asks = asks.and(about);
            }
        }
        if signs.names().iter().all(|name| reported(name)) {
            asks = asks.without(Asks::NAMED);
        }
        if asks.is_none() {
            return;
        }
        if asks.has(PINNING) && !self.cause_pins {
            self.cause_pins = true;
            self.cause = head_of(text);
        }
        self.add(asks, text);
        self.unknown |= signs.has(Sign::SettingUnknown) || signs.has(Sign::Opaque);
        for name in signs.names().iter().filter(|name| !reported(name)) {
            self.add_name(name);
        }
        if asks.has(Asks::SETTINGS) {
            self.add_custom(text);
        }
    }

    /// A text with these signs may reset settings, by its own word.
    #[must_use]
    pub fn speaks_of_reset(signs: &Signs, text: &[u8]) -> bool {
        signs.has(Sign::Reset) || signs.has(Sign::ResetAll) || says_reset_within(signs, text)
    }

    /// A text with these signs may reset something.
    pub fn note_resets(&mut self, signs: &Signs, text: &[u8]) {
        self.resets |= signs.has(Sign::ResetAll) || says_reset_within(signs, text);
        if signs.has(Sign::Reset) {
            self.reset.extend(signs.resets().iter().cloned());
        }
        self.bound_resets();
    }

    /// The same of a text behind which settings are set right that are `corrected`. Custom parameters are among
    /// those that were asked about or are `known`.
    pub fn note_corrected<'a>(
        &mut self,
        signs: &Signs,
        known: impl Iterator<Item = &'a str>,
        corrected: impl Fn(&str) -> bool,
    ) {
        if signs.has(Sign::ResetAll) {
            let all = known.map(Box::from).chain(self.names.iter().cloned());
            self.reset.extend(all.filter(|name| name.contains('.') && !corrected(name)));
        }
        self.reset.extend(signs.resets().iter().filter(|name| !corrected(name)).cloned());
        self.bound_resets();
    }

    fn bound_resets(&mut self) {
        if self.reset.len() > MAX_NAMES {
            self.reset.clear();
            self.resets = true;
        }
    }

    /// Any setting may have been reset.
    pub fn set_reset(&mut self) {
        self.resets = true;
    }

    /// This setting may have been reset, words say so, and not set right since.
    #[must_use]
    pub fn may_reset(&self, name: &str) -> bool {
        self.resets || self.reset.iter().any(|reset| reset.eq_ignore_ascii_case(name))
    }

    /// Some of what was said may have been taken back.
    #[must_use]
    pub fn is_undone(&self) -> bool {
        self.undone
    }

    /// Something failed or was rolled back. Whether a setting that was named has been made cannot be told by its
    /// value, and what has not been made must not be given to another server connection: it may not be allowed.
    pub fn reconsider(&mut self) {
        self.undone |= !self.is_none();
        if self.asks.has(Asks::NAMED) {
            self.asks = self.asks.and(Asks::SETTINGS);
        }
    }

    /// Whatever in these bytes could be the name of a custom parameter: no list of PostgreSQL's has these.
    pub fn add_custom(&mut self, bytes: &[u8]) {
        custom_names(bytes).for_each(|name| self.add_name(&name));
    }

    fn add_name(&mut self, name: &str) {
        if self.names.iter().any(|known| **known == *name) {
            return;
        }
        if self.names.len() < MAX_NAMES {
            self.names.push(name.into());
        } else {
            self.asks = self.asks.and(Asks::SETTINGS);
        }
    }

    /// All this has to be asked about, because of this text.
    pub fn add(&mut self, asks: Asks, text: &[u8]) {
        if self.asks.is_none() || self.cause.is_empty() {
            self.cause = head_of(text);
        }
        self.asks = self.asks.and(asks);
        self.postponed = false;
    }

    /// Takes what has to be asked about.
    #[must_use]
    pub(crate) fn take(&mut self) -> Doubts {
        std::mem::take(self)
    }

    /// The question failed.
    pub(crate) fn postpone(&mut self, unanswered: Doubts) {
        let Doubts { asks, names, cause, unknown, resets, reset, undone, .. } = unanswered;
        self.unknown |= unknown;
        self.resets |= resets;
        self.reset.extend(reset);
        self.undone |= undone;
        if self.asks.is_none() {
            self.cause = cause;
        }
        self.asks = self.asks.and(asks);
        self.names.extend(names);
        self.postponed = true;
    }
}

fn head_of(text: &[u8]) -> Box<str> {
    let head = text.get(..text.len().min(MAX_CAUSE)).unwrap_or_default();
    String::from_utf8_lossy(head).into()
}

/// A block of code may reset settings by some word in it. What functions do is known by
/// their own signs.
fn says_reset_within(signs: &Signs, text: &[u8]) -> bool {
    let says = |word: &[u8]| RESETS.iter().any(|reset| word.eq_ignore_ascii_case(reset));
    signs.has(Sign::Opaque)
        && Statements::of(text).any(|head| head == Head::Do)
        && text.split(|byte| !byte.is_ascii_alphanumeric() && *byte != b'_').any(says)
}

/// Words with which settings are reset.
const RESETS: [&[u8]; 3] = [b"reset", b"default", b"discard"];

/// Whatever in these bytes could be the name of a custom parameter.
pub(in crate::session) fn custom_names(bytes: &[u8]) -> impl Iterator<Item = Box<str>> {
    let in_name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$' | b'.');
    let is_part = |part: &[u8]| part.first().is_some_and(|c| c.is_ascii_alphabetic() || *c == b'_');
    let words = bytes.split(move |byte| !in_name(byte));
    words
        .filter(move |word| {
            word.contains(&b'.') && word.len() < MAX_NAME && word.split(|&byte| byte == b'.').all(is_part)
        })
        .map(|word| String::from_utf8_lossy(word).to_ascii_lowercase().into())
}

/// What a sign in a text makes doubtful.
const ABOUT: [(Sign, Asks); 16] = [
    (Sign::Setting, Asks::NAMED),
    (Sign::SettingUnknown, Asks::SETTINGS),
    (Sign::Reset, Asks::SETTINGS),
    (Sign::ResetAll, Asks::SETTINGS),
    (Sign::Role, Asks::ROLE),
    (Sign::Prepare, Asks::STATEMENTS),
    (Sign::Deallocate, Asks::STATEMENTS),
    (Sign::Listen, Asks::CHANNELS),
    (Sign::Unlisten, Asks::CHANNELS),
    (Sign::Temp, Asks::TEMP),
    (Sign::Lock, Asks::LOCKS),
    (Sign::HoldCursor, Asks::CURSORS),
    (Sign::Slot, Asks::SLOTS),
    (Sign::Opaque, Asks::EVERYTHING),
    (Sign::Execute, Asks::STATEMENTS),
    (Sign::Clears, Asks::STATEMENTS),
];

/// What a sign may end, which need only be asked about while it is there.
const ENDS: [(Sign, Asks); 3] =
    [(Sign::Drop, Asks::TEMP), (Sign::Unlock, Asks::LOCKS), (Sign::CloseCursor, Asks::CURSORS)];

/// What cannot be moved, and of which an operator wants to know where it comes from.
const PINNING: Asks = Asks::TEMP.and(Asks::LOCKS).and(Asks::CURSORS).and(Asks::SLOTS);

/// Longest name of a setting that is asked about.
const MAX_NAME: usize = 128;
/// Names asked about one by one; beyond that all settings are asked for.
const MAX_NAMES: usize = 64;
/// How much of a text is kept to explain a pin, in bytes.
const MAX_CAUSE: usize = 200;
