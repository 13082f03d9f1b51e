//! Settings: what becomes of the clients' session state, and how `session_state` is read and shown.

use howdah_core::settings::{MaxPinned, Policy, StateCheck, StateChoice, StateKind, StatePolicy};

use super::text::{self, Invalid};
use super::value::{Value, at};
use super::{Category, Setting};

pub(super) static SETTINGS: [Setting; 4] = [
    new("session_state", "carry", Value::StatePolicy(at!(state.policy))).says(
        "what becomes of session state between transactions",
        "In transaction and statement mode. A list with commas: a word for all kinds of state about which it can be \
         done, and `kind:word` for single kinds; what comes later counts. Kinds of which nothing is said are as by \
         default. Databases and users may change single kinds.\n\n\
         - `carry`: it follows the client to its next server connection.\n\
         - `pin`: the server connection stays with the client for as long as the state lives.\n\
         - `close` (with a kind only): the server connection stays with the client until it leaves, and is closed then.\n\
         - `warn`: it is allowed, and lost with the server connection; the client gets a WARNING.\n\
         - `refuse`: the statement fails with SQLSTATE 0A000.\n\n\
         The kinds, with their default first:\n\n\
         - `settings` (SET and whatever else changes a setting): carry, pin, warn, refuse\n\
         - `role` (SET ROLE, SET SESSION AUTHORIZATION): carry, pin, warn, refuse\n\
         - `statements` (PREPARE in SQL; for those of the protocol see max_prepared_statements): carry, pin, warn, refuse\n\
         - `listen` (LISTEN): carry, pin, warn, refuse\n\
         - `temp` (temporary tables, views, sequences): pin, close, warn, refuse; `close` where the next client must not \
         even find the empty temporary schema\n\
         - `locks` (advisory locks of the session): pin, warn, refuse\n\
         - `cursors` (WITH HOLD): pin, warn, refuse\n\
         - `slots` (temporary replication slots): pin, warn, refuse\n\
         - `sequences` (`currval` and `lastval` outside the transaction of their `nextval`): warn, pin, refuse\n\
         - `seed` (`setseed`; it ends with the session only, so the server connection is closed then): pin, warn, refuse\n\
         - `libraries` (LOAD; likewise): pin, warn, refuse\n\
         - `custom` (the names of custom parameters such as `app.tenant`; the values are `settings`): carry, close, warn, \
         refuse; with `carry` the name, not the value, stays known to PostgreSQL; `close` and `refuse` mind those of SET \
         LOCAL, too.",
    ),
    new("session_state_check", "hinted", Value::StateCheck(at!(state.check))).says(
        "how hard Howdah looks for changed session state",
        "`hinted`: PostgreSQL is asked where a statement's text or reply leaves it open, after DO, CALL and functions known \
         to change something. `always`: after every transaction, for a round trip each; only this finds all that PostgreSQL can tell. `never`: \
         what texts and replies do not show is not followed. Databases and users may have their own.",
    ),
    new("max_pinned", AUTO, Value::MaxPinned(at!(state.max_pinned))).says(
        "server connections of a pool that may be pinned",
        "`auto` is one less than the pool's size, or two less than `max_db_connections` or `max_user_connections` where \
         that is less (those who listen may need one), and at least one. 0: no limit. A client that would need one more is \
         refused with SQLSTATE 53300, and told who pins and why. Databases and users may have their own; as with the \
         pool's size it is the user on the server that counts.",
    ),
    new("pin_idle_timeout", "0", Value::Timeout(at!(state.pin_idle_timeout))).says(
        "longest idleness of a pinned client",
        "A client that keeps a server connection for itself, outside a transaction and without a request, is closed \
         when it is over. Off by default, since some hold an advisory lock for as long as they live and mean it. \
         Databases and users may have their own.",
    ),
];

const fn new(name: &'static str, default: &'static str, value: Value) -> Setting {
    Setting::new(Category::State, name, default, value).since("Howdah 0.1")
}

/// Reads `session_state`.
pub(crate) fn choice(text: &str) -> Result<StateChoice, Invalid> {
    let mut choice = StateChoice::default();
    for item in text::list(text) {
        let Some((kind, word)) = item.split_once(':') else {
            choice.set_all(text::word(BARE, &item).ok_or(Invalid::NotAWord(BARE_WORDS))?);
            continue;
        };
        let kind =
            StateKind::ALL.into_iter().find(|known| known.as_str().eq_ignore_ascii_case(kind.trim_end()));
        let kind = kind.ok_or(Invalid::NotAStateKind)?;
        let policy = text::word(POLICIES, word.trim_start()).ok_or(Invalid::NotAWord(POLICY_WORDS))?;
        if !choice.set(kind, policy) {
            return Err(Invalid::Impossible { kind, policy });
        }
    }
    Ok(choice)
}

/// As short as [`choice`] reads it: the word for most kinds, then the other kinds.
pub(crate) fn show(policy: &StatePolicy) -> String {
    let shown = BARE.iter().map(|(word, base)| {
        let mut all = StateChoice::default();
        all.set_all(*base);
        let all = StatePolicy::default().with(all);
        let others = StateKind::ALL.into_iter().filter(|kind| all.of(*kind) != policy.of(*kind));
        let others = others.map(|kind| format!("{}:{}", kind.as_str(), policy.of(kind).as_str()));
        std::iter::once((*word).to_owned()).chain(others).collect::<Vec<_>>()
    });
    shown.min_by_key(Vec::len).unwrap_or_default().join(",")
}

/// Reads `max_pinned`.
pub(crate) fn max_pinned(text: &str) -> Result<MaxPinned, Invalid> {
    if text.eq_ignore_ascii_case(AUTO) {
        return Ok(MaxPinned::AllButOne);
    }
    let number = text::integer_in(text, 0, i64::from(u32::MAX)).map_err(|_| Invalid::NotAutoOrNumber)?;
    Ok(match u32::try_from(number).unwrap_or(u32::MAX) {
        0 => MaxPinned::Unlimited,
        number => MaxPinned::AtMost(number),
    })
}

/// As [`max_pinned`] reads it.
pub(crate) fn show_max_pinned(max: MaxPinned) -> String {
    match max {
        MaxPinned::AllButOne => AUTO.to_owned(),
        MaxPinned::AtMost(number) => number.to_string(),
        MaxPinned::Unlimited => "0".to_owned(),
    }
}

/// The names of the kinds, for a message.
pub(crate) fn kinds() -> String {
    StateKind::ALL.map(StateKind::as_str).join(", ")
}

pub(crate) const CHECKS: &[(&str, StateCheck)] =
    &[("hinted", StateCheck::Hinted), ("always", StateCheck::Always), ("never", StateCheck::Never)];
pub(crate) const CHECK_WORDS: &[&str] = &["hinted", "always", "never"];

/// What can be said of all kinds at once.
const BARE: &[(&str, Policy)] =
    &[("carry", Policy::Carry), ("pin", Policy::Pin), ("warn", Policy::Warn), ("refuse", Policy::Refuse)];
const BARE_WORDS: &[&str] = &["carry", "pin", "warn", "refuse", "kind:word"];

const POLICIES: &[(&str, Policy)] = &[
    ("carry", Policy::Carry),
    ("pin", Policy::Pin),
    ("close", Policy::Close),
    ("warn", Policy::Warn),
    ("refuse", Policy::Refuse),
];
const POLICY_WORDS: &[&str] = &["carry", "pin", "close", "warn", "refuse"];

const AUTO: &str = "auto";

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        show(&StatePolicy::default().with(choice(text).unwrap()))
    }

    #[test]
    fn a_word_for_all_then_single_kinds() {
        for (text, expected) in [
            ("", "carry"),
            ("carry", "carry"),
            ("temp:refuse", "carry,temp:refuse"),
            ("Temp : Refuse , LOCKS:warn", "carry,temp:refuse,locks:warn"),
            ("refuse", "refuse"),
            ("temp:close,refuse", "refuse"),
            ("refuse,settings:carry,role:carry", "refuse,settings:carry,role:carry"),
            ("pin", "pin"),
            ("warn,custom:close", "warn,custom:close"),
        ] {
            assert_eq!(shown(text), expected, "{text}");
            assert_eq!(shown(&shown(text)), expected, "{text}");
        }
        // What a bare word cannot say of a kind is left as it was.
        let policy = StatePolicy::default().with(choice("pin").unwrap());
        assert_eq!(policy.of(StateKind::Custom), Policy::Carry);
        assert_eq!(policy.of(StateKind::Settings), Policy::Pin);
        assert_eq!(policy.of(StateKind::Sequences), Policy::Pin);
    }

    #[test]
    fn a_mistake_is_told_with_what_would_be_right() {
        for (text, expected) in [
            (
                "temp:carry",
                "temporary objects cannot be set to carry: temp takes one of pin, close, warn, refuse",
            ),
            (
                "custom:pin",
                "custom parameters cannot be set to pin: custom takes one of carry, close, warn, refuse",
            ),
            ("close", "expected one of carry, pin, warn, refuse, kind:word"),
            ("temp:keep", "expected one of carry, pin, close, warn, refuse"),
            (
                "tables:pin",
                "expected one of settings, role, statements, listen, temp, locks, cursors, slots, sequences, seed, \
                 libraries, custom before the colon",
            ),
        ] {
            assert_eq!(choice(text).unwrap_err().to_string(), expected, "{text}");
        }
    }

    #[test]
    fn max_pinned_is_a_number_or_left_to_the_pool() {
        for (text, max, shown) in [
            ("auto", MaxPinned::AllButOne, "auto"),
            ("0", MaxPinned::Unlimited, "0"),
            ("5", MaxPinned::AtMost(5), "5"),
        ] {
            assert_eq!(max_pinned(text), Ok(max));
            assert_eq!(show_max_pinned(max), shown);
        }
        for text in ["", "-1", "some", "1.5"] {
            assert_eq!(max_pinned(text), Err(Invalid::NotAutoOrNumber), "{text}");
        }
    }

    #[test]
    fn the_word_lists_agree() {
        let words =
            |table: &[(&'static str, Policy)]| table.iter().map(|(word, _)| *word).collect::<Vec<_>>();
        assert_eq!(words(POLICIES), POLICY_WORDS);
        assert_eq!(words(BARE), BARE_WORDS.get(..4).unwrap());
        assert_eq!(CHECKS.iter().map(|(word, _)| *word).collect::<Vec<_>>(), CHECK_WORDS);
        for (word, policy) in POLICIES {
            assert_eq!(*word, policy.as_str());
        }
        let long = SETTINGS.iter().find(|setting| setting.name == "session_state").unwrap().long;
        for kind in StateKind::ALL {
            let policies =
                kind.policies().iter().map(|policy| policy.as_str()).collect::<Vec<_>>().join(", ");
            let line = long.lines().find(|line| line.starts_with(&format!("- `{}`", kind.as_str())));
            assert!(line.is_some_and(|line| line.contains(&policies)), "{kind}: {policies}");
        }
    }
}
