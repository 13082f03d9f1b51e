//! What a child process says, line by line, while it runs.

use std::io::{BufRead, BufReader, Read};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::wait::PATIENCE;

/// Lines captured so far; clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log(Arc<(Mutex<Said>, Condvar)>);

#[derive(Debug, Default)]
struct Said {
    lines: Vec<String>,
    /// Sources that have not ended.
    open: usize,
}

impl Log {
    /// Captures `source` until its end, on a thread that ends with it.
    pub(crate) fn capture(&self, source: impl Read + Send + 'static) {
        self.said().open += 1;
        let log = self.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(source).split(b'\n').map_while(Result::ok) {
                log.said().lines.push(String::from_utf8_lossy(&line).into_owned());
                log.0.1.notify_all();
            }
            log.said().open -= 1;
            log.0.1.notify_all();
        });
    }

    /// All there is; of a process that has ended, once its last words have been read.
    pub(crate) fn last_words(&self) -> String {
        let unread = |said: &mut Said| said.open > 0;
        let said = self.0.1.wait_timeout_while(self.said(), PATIENCE, unread);
        said.unwrap_or_else(PoisonError::into_inner).0.lines.join("\n")
    }

    pub(crate) fn text(&self) -> String {
        self.said().lines.join("\n")
    }

    /// Waits for a line that contains `text`.
    #[track_caller]
    pub(crate) fn wait_for(&self, text: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        let mut said = self.said();
        loop {
            if let Some(line) = said.lines.iter().find(|line| line.contains(text)) {
                return line.clone();
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "nothing with {text:?} was logged; the log:\n{}", said.lines.join("\n"));
            said = self.0.1.wait_timeout(said, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn said(&self) -> MutexGuard<'_, Said> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
