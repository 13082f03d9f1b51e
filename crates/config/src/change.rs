//! SHOW CONFIG, SET, and what a reload cannot change.

use howdah_core::control::ConfigRow;
use howdah_core::settings::Settings;

use crate::problem::Problem;
use crate::settings::{self, Status};
use crate::source::{Disk, Source};
use crate::{loader, userlist};

/// The rows of SHOW CONFIG.
#[must_use]
pub fn show(settings: &Settings) -> Vec<ConfigRow> {
    let row = |setting: &'static settings::Setting| ConfigRow {
        key: setting.name,
        value: setting.show(settings),
        default: setting.default.unwrap_or_default().to_owned(),
        changeable: setting.reloadable,
    };
    settings::all().map(row).collect()
}

/// Does the console's `SET key = value`. A new `auth_file` is read at once. After a problem `settings` are as before.
///
/// # Errors
/// An unknown setting, one that needs a restart or is not built yet, an invalid value.
pub fn set(settings: &mut Settings, key: &str, value: &str) -> Result<(), Problem> {
    set_from(settings, key, value, &Disk)
}

fn set_from(settings: &mut Settings, key: &str, value: &str, source: &dyn Source) -> Result<(), Problem> {
    let Some(setting) = settings::find(key) else {
        let problem = Problem::error(format!("unknown setting \"{}\"", key.escape_debug()));
        return Err(problem.suggest(key, settings::all().map(|setting| setting.name)));
    };
    if !setting.reloadable {
        return Err(Problem::error(format!("{key} cannot change while Howdah runs"))
            .hint("change it in the file and restart"));
    }
    let mut changed = settings.clone();
    loader::apply(setting, &mut changed, value)?;
    if setting.lacks(value) {
        return Err(Problem { severity: crate::Severity::Error, ..loader::not_built(setting) });
    }
    if changed.auth.file != settings.auth.file {
        let mut problems = Vec::new();
        let secrets = changed.auth.file.as_ref().map(|file| userlist::read(file, source, &mut problems));
        if let Some(problem) = problems.into_iter().next() {
            return Err(Problem { severity: crate::Severity::Error, ..problem });
        }
        changed.secrets = secrets.flatten().unwrap_or_default();
    }
    *settings = changed;
    Ok(())
}

/// The settings that differ but count after a restart only: for the log of a reload.
#[must_use]
pub fn needs_restart(old: &Settings, new: &Settings) -> Vec<&'static str> {
    settings::all()
        .filter(|setting| setting.status == Status::Built && !setting.reloadable)
        .filter(|setting| setting.show(old) != setting.show(new))
        .map(|setting| setting.name)
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::PathBuf;

    use howdah_core::settings::PoolMode;

    use super::*;

    #[test]
    fn shows_every_setting_with_value_and_default() {
        let mut settings = Settings::default();
        settings.pool.mode = PoolMode::Transaction;
        let rows = show(&settings);
        assert_eq!(rows.len(), 110);
        let row = rows.iter().find(|row| row.key == "pool_mode").unwrap();
        assert_eq!(
            *row,
            ConfigRow {
                key: "pool_mode",
                value: "transaction".into(),
                default: "session".into(),
                changeable: true
            }
        );
        let fixed = rows.iter().find(|row| row.key == "listen_port").unwrap();
        assert!(!fixed.changeable && fixed.value == "6432");
    }

    #[test]
    fn sets_what_may_change_and_nothing_else() {
        let mut settings = Settings::default();
        assert_eq!(set(&mut settings, "pool_mode", "statement"), Ok(()));
        assert_eq!(settings.pool.mode, PoolMode::Statement);
        assert_eq!(set(&mut settings, "server_reset_query", ""), Ok(()));
        assert_eq!(settings.pool.reset_query, None);
        assert_eq!(set(&mut settings, "sbuf_loopcnt", "9"), Ok(()));

        let before = settings.clone();
        for (key, value, message) in [
            ("pool_mod", "session", r#"error: unknown setting "pool_mod"; did you mean "pool_mode"?"#),
            (
                "listen_port",
                "1",
                "error: listen_port cannot change while Howdah runs; change it in the file and restart",
            ),
            (
                "default_pool_size",
                "ten",
                r#"error: invalid value "ten" for default_pool_size: expected a whole number"#,
            ),
            ("syslog", "1", "error: syslog is known to PgBouncer, not built yet: it has no effect"),
            (
                "auth_type",
                "hba",
                r#"error: invalid value "hba" for auth_type: known to PgBouncer, not built yet; without it access or encryption would be weaker than asked for"#,
            ),
            (
                "client_tls_sslmode",
                "require",
                r#"error: invalid value "require" for client_tls_sslmode: known to PgBouncer, not built yet; without it access or encryption would be weaker than asked for"#,
            ),
        ] {
            assert_eq!(set(&mut settings, key, value).unwrap_err().to_string(), message);
        }
        assert_eq!(settings, before);
    }

    #[test]
    fn a_new_auth_file_is_read_or_refused() {
        let mut settings = Settings::default();
        let source = BTreeMap::from([
            (PathBuf::from("good"), b"\"u\" \"s\"".to_vec()),
            (PathBuf::from("broken"), b"u s".to_vec()),
        ]);
        assert!(set_from(&mut settings, "auth_file", "good", &source).is_ok());
        assert!(settings.secrets.contains_key("u"));
        for bad in ["broken", "missing"] {
            assert!(set_from(&mut settings, "auth_file", bad, &source).is_err());
            assert!(settings.secrets.contains_key("u"));
        }
    }

    #[test]
    fn names_what_a_reload_cannot_change() {
        let old = Settings::default();
        let mut new = old.clone();
        assert!(needs_restart(&old, &new).is_empty());
        new.pool.size = 3;
        new.listen.port = 1;
        new.listen.workers = Some(2);
        assert_eq!(needs_restart(&old, &new), ["listen_port", "workers"]);
    }
}
