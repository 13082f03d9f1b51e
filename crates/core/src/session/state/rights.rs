//! Which settings may who logged in make?

/// The rights of who logged in, whatever its role is later.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rights {
    /// A superuser, or nobody has said.
    #[default]
    All,
    /// What needs no right, and what it was given the right to: PostgreSQL 15 and later.
    Granted,
    /// What needs no right.
    Plain,
}

impl Rights {
    /// As the settings tell that were reported at its login.
    #[must_use]
    pub fn told(reported: &[(String, String)]) -> Rights {
        let value = |name| reported.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
        if value("is_superuser") != Some("off") {
            return Rights::All;
        }
        let version = value("server_version").unwrap_or_default();
        let major = version.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
        if major.parse().is_ok_and(|major: u32| major >= FIRST_WITH_GRANTS) {
            Rights::Granted
        } else {
            Rights::Plain
        }
    }

    /// A condition on a row `s` of `pg_show_all_settings()`: it may not make this setting. `None`: it may make any.
    #[must_use]
    pub(super) fn lacking(self) -> Option<&'static str> {
        Some(match self {
            Rights::All => return None,
            Rights::Granted => {
                "(s.context OPERATOR(pg_catalog.=) 'superuser' \
                 AND NOT pg_catalog.has_parameter_privilege(session_user, s.name, 'SET'))"
            }
            Rights::Plain => "(s.context OPERATOR(pg_catalog.=) 'superuser')",
        })
    }
}

/// GRANT SET ON PARAMETER.
const FIRST_WITH_GRANTS: u32 = 15;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_told_at_login() {
        for (superuser, version, rights) in [
            ("on", "15.18 (Debian 15.18-0+deb12u1)", Rights::All),
            ("off", "15.18 (Debian 15.18-0+deb12u1)", Rights::Granted),
            ("off", "18beta1", Rights::Granted),
            ("off", "14.2", Rights::Plain),
            ("off", "9.6.24", Rights::Plain),
            ("off", "", Rights::Plain),
        ] {
            let reported = [("is_superuser", superuser), ("server_version", version)];
            let reported = reported.map(|(name, value)| (name.to_owned(), value.to_owned()));
            assert_eq!(Rights::told(&reported), rights, "{version}");
        }
        assert_eq!(Rights::told(&[]), Rights::All);
    }
}
