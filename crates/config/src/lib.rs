//! What did the operator write? `pgbouncer.ini`, `%include`d files and `userlist.txt`, read as PgBouncer reads them,
//! become [`Settings`]; every mistake becomes a [`Problem`] with file and line.
//!
//! All there is to know about a setting stands once, in the table of [`settings`]. Nothing here serves a client or
//! keeps state: a reload loads again and compares.

mod change;
mod checks;
mod conninfo;
mod entry;
mod ini;
mod loader;
mod problem;
pub mod settings;
mod source;
mod url;
mod userlist;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub use change::{needs_restart, set, show};
pub use howdah_core::settings::Settings;
pub use loader::{Loaded, load_from};
pub use problem::{Problem, Severity};
pub use settings::reference::markdown as reference;
pub use source::{Disk, Source};
pub use url::for_url;

/// Reads a `pgbouncer.ini` from the disk.
#[must_use]
pub fn load(path: &Path) -> Loaded {
    load_from(path, &Disk)
}

/// Reads a `pgbouncer.ini` from a text; no other file exists for it.
#[must_use]
pub fn parse_str(text: &str) -> Loaded {
    let path = PathBuf::from("pgbouncer.ini");
    load_from(&path, &BTreeMap::from([(path.clone(), text.as_bytes().to_vec())]))
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
