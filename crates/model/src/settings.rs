//! Settings and roles, and what a transaction does to them.

use std::collections::BTreeMap;

use crate::SqlError;

/// Those that are set, for the session and for the transaction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Settings {
    session: BTreeMap<String, String>,
    local: BTreeMap<String, String>,
}

/// What a session begins with.
#[derive(Clone, Debug)]
pub(crate) struct Defaults {
    pub(crate) login: String,
    pub(crate) settings: BTreeMap<String, String>,
}

impl Settings {
    /// Those of the transaction end with it.
    pub(crate) fn end_transaction(&mut self) {
        for (name, _) in std::mem::take(&mut self.local) {
            // The name of a custom parameter stays known.
            if name.contains('.') {
                self.session.entry(name).or_default();
            }
        }
    }

    /// What is in force; `None`: there is no such setting.
    pub(crate) fn get<'a>(&'a self, name: &str, defaults: &'a Defaults) -> Option<&'a str> {
        let own = self.local.get(name).or_else(|| self.session.get(name)).map(String::as_str);
        own.or_else(|| match name {
            "role" => Some("none"),
            "session_authorization" => Some(&defaults.login),
            _ => defaults.settings.get(name).map(String::as_str),
        })
    }

    /// Those set in this session, but for roles.
    pub(crate) fn set_here(&self) -> impl Iterator<Item = (&str, &str)> {
        let all = self.session.iter().filter(|(name, _)| !self.local.contains_key(*name)).chain(&self.local);
        all.map(|(name, value)| (name.as_str(), value.as_str()))
            .filter(|(name, _)| !matches!(*name, "role" | "session_authorization"))
    }

    /// Whether who acts here is a superuser.
    pub(crate) fn is_superuser(&self, defaults: &Defaults) -> bool {
        let authorization = self.get("session_authorization", defaults).unwrap_or_default();
        let role = self.get("role", defaults).filter(|role| *role != "none");
        role.unwrap_or(authorization).starts_with("super")
    }

    /// SET, for the transaction if `local`.
    pub(crate) fn set(
        &mut self,
        name: &str,
        value: &str,
        local: bool,
        defaults: &Defaults,
    ) -> Result<(), SqlError> {
        self.check(name, Some(value), defaults)?;
        if name == "session_authorization" {
            self.put("role", "none", local);
        }
        self.put(name, value, local);
        Ok(())
    }

    fn put(&mut self, name: &str, value: &str, local: bool) {
        if !local {
            self.local.remove(name);
        }
        let map = if local { &mut self.local } else { &mut self.session };
        map.insert(name.to_owned(), value.to_owned());
    }

    /// RESET.
    pub(crate) fn reset(&mut self, name: &str, defaults: &Defaults) -> Result<(), SqlError> {
        self.check(name, None, defaults)?;
        self.remove(name);
        if name == "session_authorization" {
            self.remove("role");
        }
        Ok(())
    }

    fn remove(&mut self, name: &str) {
        self.local.remove(name);
        // What is left of a custom parameter is an empty one.
        if name.contains('.') && self.session.contains_key(name) {
            self.session.insert(name.to_owned(), String::new());
        } else {
            self.session.remove(name);
        }
    }

    /// RESET ALL, which leaves the roles alone.
    pub(crate) fn reset_all(&mut self) {
        let names: Vec<_> = self.set_here().map(|(name, _)| name.to_owned()).collect();
        names.iter().for_each(|name| self.remove(name));
    }

    fn check(&self, name: &str, value: Option<&str>, defaults: &Defaults) -> Result<(), SqlError> {
        let is_role = matches!(name, "role" | "session_authorization");
        if !is_role && !name.contains('.') && !defaults.settings.contains_key(name) {
            return Err(("42704", format!("unrecognized configuration parameter \"{name}\"")));
        }
        if name.starts_with("log_") && !self.is_superuser(defaults) {
            return Err(("42501", format!("permission denied to set parameter \"{name}\"")));
        }
        let Some(value) = value else { return Ok(()) };
        if is_role {
            return self.check_role(name, value, defaults);
        }
        if value == "bad" {
            return Err(("22023", format!("invalid value for parameter \"{name}\": \"{value}\"")));
        }
        Ok(())
    }

    fn check_role(&self, name: &str, value: &str, defaults: &Defaults) -> Result<(), SqlError> {
        if name == "role" && value == "none" {
            return Ok(());
        }
        if value.starts_with("no") {
            return Err(("22023", format!("role \"{value}\" does not exist")));
        }
        let is_super = |name: &str| name.starts_with("super");
        let session_user = self.get("session_authorization", defaults).unwrap_or_default();
        let allowed = if name == "role" {
            is_super(session_user) || !is_super(value)
        } else {
            is_super(&defaults.login) || value == defaults.login
        };
        if allowed { Ok(()) } else { Err(("42501", format!("permission denied to set {name} \"{value}\""))) }
    }
}
