//! `howdah serve`: from a configuration to a process that serves, and to its end.

use std::io::Write;
use std::sync::Arc;

use anyhow::{Context, anyhow};
use howdah_console::Door;
use howdah_core::settings::Settings;
use howdah_engine::Howdah;

use crate::cli::{ServeOptions, Target};
use crate::configuration::{self, InUse, Origin};
use crate::failure::Failure;
use crate::logging::Logging;
use crate::metrics::MetricsDoors;
use crate::pidfile::PidFile;
use crate::signals::Signals;
use crate::{account, check, limits};

/// Serves until it is told to stop.
///
/// # Errors
/// The configuration cannot be used, or something the process needs is not to be had.
pub(crate) fn run(target: Target, options: &ServeOptions) -> Result<(), Failure> {
    let origin = Origin::new(target, options);
    let loaded = origin.read();
    if !loaded.is_usable() {
        // No log yet: it would be created as whoever we are now, which may be root.
        for problem in &loaded.problems {
            writeln!(std::io::stderr(), "{problem}")?;
        }
        let counted = check::count(&loaded.problems);
        return Err(Failure::configuration(anyhow!("{}: {counted}; not started", origin.name())));
    }
    if let Some(user) = &loaded.settings.listen.user {
        account::become_user(user)?;
    }
    let logging = Arc::new(Logging::start(&loaded.settings.log, options.quiet)?);
    configuration::log(&loaded.problems);
    serve(loaded.settings, origin, Arc::clone(&logging))
        .map_err(|error| Failure::from(error).log(logging.is_on_stderr()))
}

fn serve(settings: Settings, origin: Origin, logging: Arc<Logging>) -> anyhow::Result<()> {
    if account::is_root() {
        tracing::warn!("running as root; `user` in the configuration, or -u, makes it give up root's rights");
    }
    if let Some(warning) = limits::shortage(&settings, limits::raise()) {
        tracing::warn!("{warning}");
    }
    let _pidfile = settings.listen.pidfile.as_deref().map(PidFile::create).transpose()?;
    let signals = Signals::catch().context("cannot catch signals")?;
    let metrics = MetricsDoors::open(&settings.listen).context("metrics_port").context("cannot start")?;
    let name = origin.name();
    let configuration = Arc::new(InUse::new(origin, &settings, logging));
    let howdah = Howdah::start(settings, configuration, Arc::new(Door)).context("cannot start")?;
    for address in howdah.listening() {
        tracing::info!("listening on {address}");
    }
    for address in metrics.addresses() {
        tracing::info!("answering http://{address}/metrics");
    }
    metrics.serve(howdah.control()).context("cannot start a thread")?;
    tracing::info!(
        "howdah {} serves what {name} describes, process {}",
        env!("CARGO_PKG_VERSION"),
        std::process::id()
    );
    signals.obey(howdah)?;
    tracing::info!("stopped");
    Ok(())
}
