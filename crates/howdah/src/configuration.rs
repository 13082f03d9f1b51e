//! The text behind the settings: where it is, how it is read again, and what the command line says over it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use howdah_config::{Loaded, Problem, Severity};
use howdah_core::control::ConfigRow;
use howdah_core::settings::Settings;
use howdah_engine::Configuration;
use howdah_wire::secret::Secret;

use crate::check;
use crate::cli::{ServeOptions, Target};
use crate::logging::Logging;

/// A file or a URL, under the command line's options.
pub(crate) struct Origin {
    target: Target,
    verbose: Option<u32>,
    user: Option<String>,
}

impl Origin {
    pub(crate) fn new(target: Target, options: &ServeOptions) -> Origin {
        let verbose = Some(u32::from(options.verbose)).filter(|&level| level > 0);
        Origin { target, verbose, user: options.user.clone() }
    }

    /// Reads it, as often as one likes.
    pub(crate) fn read(&self) -> Loaded {
        let mut loaded = match &self.target {
            Target::File(path) => howdah_config::load(path),
            Target::Url(url) => match howdah_config::for_url(url) {
                Ok(settings) => Loaded { settings, problems: Vec::new(), secrets_read: true },
                Err(problem) => {
                    Loaded { settings: Settings::default(), problems: vec![problem], secrets_read: true }
                }
            },
        };
        if let Some(level) = self.verbose {
            loaded.settings.log.verbose = level;
        }
        if let Some(user) = &self.user {
            loaded.settings.listen.user = Some(user.clone());
        }
        loaded
    }

    /// What to call it; never the URL, which may hold a password.
    pub(crate) fn name(&self) -> String {
        match &self.target {
            Target::File(path) => path.display().to_string(),
            Target::Url(_) => "the URL".to_owned(),
        }
    }
}

/// An [`Origin`] in use: what the engine asks when it is told to reload.
pub(crate) struct InUse {
    origin: Origin,
    logging: Arc<Logging>,
    /// Those read last, for a reload that finds `auth_file` unreadable.
    secrets: Mutex<BTreeMap<String, Secret>>,
}

impl InUse {
    pub(crate) fn new(origin: Origin, settings: &Settings, logging: Arc<Logging>) -> InUse {
        InUse { origin, logging, secrets: Mutex::new(settings.secrets.clone()) }
    }
}

impl Configuration for InUse {
    fn load(&self) -> Result<Settings, String> {
        let Loaded { mut settings, problems, secrets_read } = {
            let loaded = self.origin.read();
            log(&loaded.problems);
            if !loaded.is_usable() {
                let counted = check::count(&loaded.problems);
                return Err(format!("{}: {counted}; the log says which", self.origin.name()));
            }
            loaded
        };
        debug_assert!(problems.iter().all(|problem| problem.severity == Severity::Warning));
        let mut known = self.secrets.lock().unwrap_or_else(PoisonError::into_inner);
        if secrets_read {
            known.clone_from(&settings.secrets);
        } else {
            settings.secrets.clone_from(&known);
        }
        self.logging.follow(&settings.log);
        Ok(settings)
    }

    fn show(&self, settings: &Settings) -> Vec<ConfigRow> {
        howdah_config::show(settings)
    }

    fn set(&self, settings: &mut Settings, key: &str, value: &str) -> Result<(), String> {
        howdah_config::set(settings, key, value).map_err(|problem| sentence(&problem))?;
        self.logging.follow(&settings.log);
        Ok(())
    }

    fn needs_restart(&self, old: &Settings, new: &Settings) -> Vec<&'static str> {
        howdah_config::needs_restart(old, new)
    }
}

/// Writes problems to the log.
pub(crate) fn log(problems: &[Problem]) {
    for problem in problems {
        let place = match (&problem.file, problem.line) {
            (Some(file), Some(line)) => format!("{}:{line}: ", file.display()),
            (Some(file), None) => format!("{}: ", file.display()),
            (None, _) => String::new(),
        };
        match problem.severity {
            Severity::Error => tracing::error!("{place}{}", sentence(problem)),
            Severity::Warning => tracing::warn!("{place}{}", sentence(problem)),
        }
    }
}

/// A problem without its place.
pub(crate) fn sentence(problem: &Problem) -> String {
    match &problem.hint {
        Some(hint) => format!("{}; {hint}", problem.message),
        None => problem.message.clone(),
    }
}
