//! What does `/metrics` show? The numbers of SHOW, from the same [`Snapshot`], as Prometheus reads them.
//!
//! `families` is the table of all there is: name, type, meaning, and which number it is. `source` finds the samples of
//! a family, `text` writes them down, `reference` writes the chapter of the book. Nobody is named here but databases
//! and users: a pinned client and its statement stand in SHOW PINS.

mod families;
pub mod reference;
mod source;
#[cfg(test)]
mod tests;
mod text;

use std::time::{Duration, SystemTime};

use howdah_core::facts::Snapshot;

use source::Scene;
use text::Page;

/// What the machine knows of this process; what it does not tell is not shown.
#[derive(Clone, Copy, Debug)]
pub struct Process {
    /// When it began.
    pub started: SystemTime,
    /// Processor time used.
    pub cpu: Duration,
    /// Resident memory in bytes.
    pub resident: Option<u64>,
    /// Open file descriptors.
    pub open_files: Option<u64>,
    /// How many there may be; `None`: any number.
    pub max_files: Option<u64>,
}

/// The whole page.
#[must_use]
pub fn render(snapshot: &Snapshot, process: &Process) -> String {
    let scene = Scene { snapshot, process };
    let mut page = Page::default();
    for family in families::all() {
        page.begin(family.name, family.kind, family.help);
        let labels = family.source.labels();
        family.source.each(&scene, &mut |values, value| {
            page.sample(family.name, labels.iter().copied().zip(values.iter().copied()), value);
        });
    }
    page.text
}

/// The media type of [`render`]'s text.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
