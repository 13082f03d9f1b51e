//! Where does the log go, how much of it, and in which form?
//!
//! To standard error unless `--quiet`, as PgBouncer does, and to `logfile` if there is one. A reload opens the file
//! again, so that log rotation works, and follows `logfile` and `verbose`; `log_format` is fixed at start.

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;
use howdah_core::settings::{Log, LogFormat};
use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{Layer, Registry, reload};

use crate::log_line::Lines;

/// The log of this process.
pub(crate) struct Logging {
    level: reload::Handle<LevelFilter, Registry>,
    file: LogFile,
    /// Whether standard error has it.
    on_stderr: bool,
}

impl Logging {
    /// Begins to log, once in a process.
    ///
    /// # Errors
    /// The file cannot be written to.
    pub(crate) fn start(log: &Log, quiet: bool) -> anyhow::Result<Logging> {
        let file = LogFile::default();
        file.open(log.file.as_deref())?;
        let (level, handle) = reload::Layer::new(level(log.verbose));
        let mut layers = vec![layer(log.format, false, file.clone())];
        if !quiet {
            layers.push(layer(log.format, io::stderr().is_terminal(), io::stderr));
        }
        let subscriber = tracing_subscriber::registry().with(level).with(layers);
        tracing::subscriber::set_global_default(subscriber).context("logging was started twice")?;
        Ok(Logging { level: handle, file, on_stderr: !quiet })
    }

    /// Does what the settings say now. If the new file cannot be opened, the old one is kept and says so.
    pub(crate) fn follow(&self, log: &Log) {
        if let Err(error) = self.file.open(log.file.as_deref()) {
            tracing::error!("{error:#}");
        }
        self.level.reload(level(log.verbose)).expect("the subscriber lives as long as the process");
    }

    pub(crate) fn is_on_stderr(&self) -> bool {
        self.on_stderr
    }
}

fn level(verbose: u32) -> LevelFilter {
    match verbose {
        0 => LevelFilter::INFO,
        1 => LevelFilter::DEBUG,
        _ => LevelFilter::TRACE,
    }
}

fn layer<S, W>(format: LogFormat, colour: bool, writer: W) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    // Its complaints about itself would go to standard error by a macro that panics when nobody reads that.
    let lines = tracing_subscriber::fmt::layer().with_writer(Lines(writer)).log_internal_errors(false);
    match format {
        LogFormat::Text => lines.with_ansi(colour).with_target(false).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).with_span_list(false).boxed(),
    }
}

/// A file that can be replaced while threads write to it; without one, lines vanish.
#[derive(Clone, Default)]
struct LogFile(Arc<Mutex<Option<File>>>);

impl LogFile {
    fn open(&self, path: Option<&Path>) -> anyhow::Result<()> {
        let open = |path: &Path| {
            let opened = File::options().append(true).create(true).open(path);
            opened.with_context(|| format!("cannot open the log file {}", path.display()))
        };
        let opened = path.map(open).transpose()?;
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = opened;
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for LogFile {
    type Writer = LogFile;

    fn make_writer(&'a self) -> LogFile {
        self.clone()
    }
}

impl Write for LogFile {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(file) => file.write(line),
            None => Ok(line.len()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_moved_away_is_made_anew_when_opened_again() {
        let dir = tempfile::tempdir().unwrap();
        let (path, old) = (dir.path().join("log"), dir.path().join("log.1"));
        let mut file = LogFile::default();
        file.write_all(b"nowhere\n").unwrap();
        file.open(Some(&path)).unwrap();
        file.write_all(b"one\n").unwrap();
        std::fs::rename(&path, &old).unwrap();
        file.write_all(b"two\n").unwrap();
        file.open(Some(&path)).unwrap();
        file.write_all(b"three\n").unwrap();
        assert!(file.open(Some(Path::new("/nonexistent/log"))).is_err());
        file.write_all(b"four\n").unwrap();
        assert_eq!(std::fs::read_to_string(old).unwrap(), "one\ntwo\n");
        assert_eq!(std::fs::read_to_string(path).unwrap(), "three\nfour\n");
    }
}
