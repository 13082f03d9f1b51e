//! What the engine needs of the configuration's text: reading it again, showing and changing single settings.

use howdah_core::control::ConfigRow;
use howdah_core::settings::Settings;

/// The text behind the settings. Implemented by the program, since the engine reads no files.
pub trait Configuration: Send + Sync {
    /// Reads the configuration again.
    ///
    /// # Errors
    /// It cannot be used; the sentence says why, and the settings in force stay.
    fn load(&self) -> Result<Settings, String>;

    /// Every setting with its value in force, as SHOW CONFIG lists them.
    fn show(&self, settings: &Settings) -> Vec<ConfigRow>;

    /// Changes one setting, as it would be written in the file.
    ///
    /// # Errors
    /// A sentence for the operator.
    fn set(&self, settings: &mut Settings, key: &str, value: &str) -> Result<(), String>;

    /// Settings that differ and only change with a restart.
    fn needs_restart(&self, old: &Settings, new: &Settings) -> Vec<&'static str>;
}
