//! The table of settings: one [`Setting`] each, by subject. Parsing, SHOW CONFIG, SET, the reference chapter and the
//! check that every setting of PgBouncer is known all read this table, so a setting is added in one place.

mod access;
mod clients;
mod listen;
mod log;
mod network;
mod pool;
pub mod reference;
pub(crate) mod state;
pub(crate) mod text;
mod timeouts;
mod tls;
pub(crate) mod value;

use std::sync::LazyLock;

pub use value::{Place, Shape, Value};

/// All there is to know about one setting of `[pgbouncer]`.
pub struct Setting {
    /// Its name in the file and the console.
    pub name: &'static str,
    /// The default's text; `None`: unset, which a repeated `[pgbouncer]` does not restore.
    pub default: Option<&'static str>,
    /// Type and field.
    pub value: Value,
    /// What Howdah makes of it.
    pub status: Status,
    /// A reload or SET may change it.
    pub reloadable: bool,
    /// Who had it first, and since when.
    pub since: &'static str,
    /// Its chapter of the reference.
    pub category: Category,
    /// Its meaning in a few words.
    pub short: &'static str,
    /// The rest of what an operator needs to know.
    pub long: &'static str,
}

/// What Howdah makes of a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It works.
    Built,
    /// Known to PgBouncer, not built yet: reported when it is set to anything but its default.
    NotBuilt,
    /// Not built yet, and these values (none listed: any) ask for more protection than there is: the start stops.
    Refused(&'static [&'static str]),
    /// Accepted in silence, since Howdah has no need of it.
    NoEffect,
}

/// Chapters of the reference, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Category {
    /// Where to listen, and the process itself.
    Listen,
    /// Who may enter.
    Access,
    /// Server connections.
    Pool,
    /// Session state.
    State,
    /// Times.
    Timeouts,
    /// Clients.
    Clients,
    /// Logs and figures.
    Log,
    /// Sockets and names.
    Network,
    /// Encryption.
    Tls,
}

impl Setting {
    const fn new(category: Category, name: &'static str, default: &'static str, value: Value) -> Setting {
        Setting {
            name,
            default: Some(default),
            value,
            status: Status::Built,
            reloadable: true,
            since: "PgBouncer",
            category,
            short: "",
            long: "",
        }
    }

    /// Has no default at all.
    const fn unset(self) -> Setting {
        Setting { default: None, ..self }
    }

    /// Cannot change while Howdah runs.
    const fn fixed(self) -> Setting {
        Setting { reloadable: false, ..self }
    }

    const fn status(self, status: Status) -> Setting {
        Setting { status, ..self }
    }

    const fn since(self, since: &'static str) -> Setting {
        Setting { since, ..self }
    }

    const fn says(self, short: &'static str, long: &'static str) -> Setting {
        Setting { short, long, ..self }
    }

    /// Whether this text asks for more protection than Howdah has.
    pub(crate) fn refuses(&self, text: &str) -> bool {
        match self.status {
            Status::Refused([]) => !text.is_empty(),
            Status::Refused(values) => values.iter().any(|value| value.eq_ignore_ascii_case(text)),
            _ => false,
        }
    }

    /// Whether this text asks for something that is not built.
    pub(crate) fn lacks(&self, text: &str) -> bool {
        let Value::Unread(shape) = self.value else { return false };
        // Among the words, `disable` is what Howdah does anyway.
        if self.status == Status::NoEffect
            || matches!(shape, Shape::Word(_)) && text.eq_ignore_ascii_case("disable")
        {
            return false;
        }
        shape.normal(text) != shape.normal(self.default.unwrap_or_default())
    }

    /// The value in force.
    #[must_use]
    pub fn show(&self, settings: &howdah_core::settings::Settings) -> String {
        self.value.show(settings).unwrap_or_else(|| self.default.unwrap_or_default().to_owned())
    }
}

/// All settings by name.
pub fn all() -> impl Iterator<Item = &'static Setting> {
    SORTED.iter().copied()
}

/// The setting of that name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Setting> {
    let index = SORTED.binary_search_by_key(&name, |setting| setting.name).ok()?;
    SORTED.get(index).copied()
}

/// The table in SHOW CONFIG's order.
static SORTED: LazyLock<Vec<&'static Setting>> = LazyLock::new(|| {
    let tables: [&'static [Setting]; 9] = [
        &listen::SETTINGS,
        &access::SETTINGS,
        &pool::SETTINGS,
        &state::SETTINGS,
        &timeouts::SETTINGS,
        &clients::SETTINGS,
        &log::SETTINGS,
        &network::SETTINGS,
        &tls::SETTINGS,
    ];
    let mut sorted: Vec<_> = tables.into_iter().flatten().collect();
    sorted.sort_by_key(|setting| setting.name);
    sorted
});

#[cfg(test)]
mod tests;
