//! Waiting for a state, never for a time.

use std::time::{Duration, Instant};

/// How long anything may take on a busy machine before a test gives up.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until `state` gives a value.
///
/// # Panics
/// It gives none within [`PATIENCE`].
#[track_caller]
pub fn eventually<T>(what: &str, mut state: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = state() {
            return value;
        }
        assert!(Instant::now() < deadline, "waited {PATIENCE:?} in vain: {what}");
        breathe();
    }
}

/// Lets the others run before a state is looked at again.
#[expect(clippy::disallowed_methods, reason = "the one pause between two looks at a state")]
pub(crate) fn breathe() {
    std::thread::sleep(Duration::from_millis(5));
}
