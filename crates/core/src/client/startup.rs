//! What a startup packet wishes for: who, where, and with which settings.
//!
//! Settings may be any; PostgreSQL itself is asked later what it thinks of them. As there, those in `options`
//! come first, and the last value of a setting counts. Those in `ignore_startup_parameters` are dropped.

use std::collections::BTreeMap;

use howdah_wire::{ErrorResponse, ProtocolVersion, Startup};

use super::{Peer, options};
use crate::refusal;
use crate::settings::Auth;

/// A startup packet with its meaning.
#[derive(Debug)]
pub(super) struct Wish<'a> {
    pub(super) user: &'a str,
    pub(super) database: &'a str,
    pub(super) version: ProtocolVersion,
    /// The version asked for is not spoken here, or these options are unknown: the client must be told.
    pub(super) negotiate: Option<Vec<&'a str>>,
    pub(super) parameters: Vec<(String, String)>,
}

impl<'a> Wish<'a> {
    pub(super) fn read(startup: Startup<'a>, auth: &Auth, peer: &Peer) -> Result<Wish<'a>, ErrorResponse> {
        let mut parameters = Parameters { auth, kept: Vec::new(), places: BTreeMap::new() };
        let mut unknown = Vec::new();
        let (mut user, mut database) = ("", "");
        parameters.options(startup.parameter("options").unwrap_or_default())?;
        for (name, value) in startup.parameters {
            match name {
                "user" => user = value,
                "database" => database = value,
                "options" => {}
                "replication" if !parameters.ignores(name) && !is_false(value) => {
                    return Err(refusal::replication());
                }
                "replication" => {}
                option if option.starts_with("_pq_.") => unknown.push(name),
                _ => parameters.keep(name.to_owned(), value.to_owned()),
            }
        }
        if user.is_empty() {
            return Err(refusal::no_user());
        }
        if database.is_empty() {
            database = user;
        }
        if auth.application_name_add_host {
            parameters.add_host(peer);
        }
        // Never higher than asked for: libpq takes a server that "downgrades" upwards for broken.
        let version = startup.version.min(ProtocolVersion::V3_2);
        let negotiate = (version != startup.version || !unknown.is_empty()).then_some(unknown);
        Ok(Wish { user, database, version, negotiate, parameters: parameters.kept })
    }
}

/// The settings kept so far, as they were spelled.
struct Parameters<'a> {
    auth: &'a Auth,
    kept: Vec<(String, String)>,
    /// Their places by name in lower case, once they are more than a [`FEW`]: strangers may send thousands.
    places: BTreeMap<String, usize>,
}

impl Parameters<'_> {
    fn keep(&mut self, name: String, value: String) {
        if self.ignores(&name) {
            return;
        }
        let known = if self.places.is_empty() {
            self.kept.iter().position(|(kept, _)| kept.eq_ignore_ascii_case(&name))
        } else {
            self.places.get(&name.to_ascii_lowercase()).copied()
        };
        if let Some(kept) = known.and_then(|place| self.kept.get_mut(place)) {
            *kept = (name, value);
            return;
        }
        self.kept.push((name, value));
        if self.kept.len() > FEW {
            let new = self.kept.iter().enumerate().skip(self.places.len());
            self.places.extend(new.map(|(place, (name, _))| (name.to_ascii_lowercase(), place)));
        }
    }

    fn ignores(&self, name: &str) -> bool {
        !self.always_follows(name)
            && self.auth.ignore_startup_parameters.iter().any(|ignored| ignored.eq_ignore_ascii_case(name))
    }

    /// PgBouncer lets it follow the client, whatever is to be ignored.
    fn always_follows(&self, name: &str) -> bool {
        let extra = self.auth.track_extra_parameters.iter().map(String::as_str);
        ALWAYS_FOLLOWED.into_iter().chain(extra).any(|tracked| tracked.eq_ignore_ascii_case(name))
    }

    fn options(&mut self, text: &str) -> Result<(), ErrorResponse> {
        let ignored = self.ignores("options");
        match options::settings(text) {
            Ok(settings) => {
                for (name, value) in settings {
                    if !ignored || self.always_follows(&name) {
                        self.keep(name, value);
                    }
                }
            }
            Err(_) if ignored => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn add_host(&mut self, peer: &Peer) {
        let name = self.kept.iter().find(|(name, _)| name.eq_ignore_ascii_case(APPLICATION_NAME));
        let name = name.map_or("app", |(_, value)| value.as_str());
        let named = format!("{name} - {}:{}", peer.address.host(), peer.address.port());
        self.keep(APPLICATION_NAME.to_owned(), named);
    }
}

/// PostgreSQL's ways to say no: any beginning of `false` or `no`, `off`, `0`.
fn is_false(value: &str) -> bool {
    let value = value.to_ascii_lowercase();
    let begins = |word: &str| !value.is_empty() && word.starts_with(&value);
    begins("false") || begins("no") || value == "of" || value == "off" || value == "0"
}

const ALWAYS_FOLLOWED: [&str; 5] =
    ["client_encoding", "DateStyle", "TimeZone", "standard_conforming_strings", APPLICATION_NAME];
const APPLICATION_NAME: &str = "application_name";
/// More settings than drivers send: up to here each is compared with each.
const FEW: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::Address;
    use crate::settings::Settings;

    fn read<'a>(
        change: impl FnOnce(&mut Auth),
        parameters: &[(&'a str, &'a str)],
    ) -> Result<Wish<'a>, ErrorResponse> {
        let mut settings = Settings::default();
        change(&mut settings.auth);
        let peer = Peer {
            address: Address::Tcp(([10, 0, 0, 7], 5555).into()),
            unix: false,
            pid: None,
            same_user: false,
        };
        let parameters = [&[("user", "ann")], parameters].concat();
        let startup = Startup { version: ProtocolVersion::V3_0, parameters };
        Wish::read(startup, &settings.auth, &peer)
    }

    fn kept(change: impl FnOnce(&mut Auth), parameters: &[(&str, &str)]) -> String {
        match read(change, parameters) {
            Ok(wish) => {
                let list: Vec<String> = wish.parameters.iter().map(|(n, v)| format!("{n}={v}")).collect();
                list.join("; ")
            }
            Err(error) => error.message,
        }
    }

    fn as_is(_: &mut Auth) {}

    #[test]
    fn any_setting_is_kept_and_the_last_value_counts() {
        let sent = [("datestyle", "ISO"), ("work_mem", "1MB"), ("app.user", "ann"), ("DateStyle", "SQL")];
        assert_eq!(kept(as_is, &sent), "DateStyle=SQL; work_mem=1MB; app.user=ann");
    }

    #[test]
    fn nor_does_a_setting_count_twice_among_many() {
        let names: Vec<String> = (0..3 * FEW).map(|n| format!("app.x{n}")).collect();
        let loud: Vec<String> = names.iter().map(|name| name.to_ascii_uppercase()).collect();
        let first = names.iter().map(|name| (name.as_str(), "1"));
        let sent: Vec<(&str, &str)> = first.chain(loud.iter().map(|name| (name.as_str(), "2"))).collect();
        let expected: Vec<String> = loud.iter().map(|name| format!("{name}=2")).collect();
        assert_eq!(kept(as_is, &sent), expected.join("; "));
    }

    #[test]
    fn what_is_to_be_ignored_is_dropped() {
        let ignore = |auth: &mut Auth| {
            auth.ignore_startup_parameters = vec!["extra_float_digits".into(), "TimeZone".into()]
        };
        assert_eq!(kept(ignore, &[("extra_float_digits", "2"), ("timezone", "UTC")]), "timezone=UTC");
        assert_eq!(kept(ignore, &[("options", "-c extra_float_digits=2 -c geqo=off")]), "geqo=off");
        let track = |auth: &mut Auth| {
            auth.ignore_startup_parameters = vec!["search_path".into()];
            auth.track_extra_parameters = vec!["Search_Path".into()];
        };
        assert_eq!(kept(track, &[("search_path", "a, b")]), "search_path=a, b");
    }

    #[test]
    fn options_come_first() {
        let sent = [("geqo", "on"), ("options", "-c GEQO=off -c work_mem=1MB"), ("work_mem", "2MB")];
        assert_eq!(kept(as_is, &sent), "geqo=on; work_mem=2MB");
        let nonsense = [("options", "-z"), ("geqo", "on")];
        assert_eq!(kept(as_is, &nonsense), "invalid command-line argument for server process: -z");
        let lenient = |auth: &mut Auth| auth.ignore_startup_parameters = vec!["options".into()];
        assert_eq!(kept(lenient, &nonsense), "geqo=on");
        assert_eq!(kept(lenient, &[("options", "-c geqo=off -c timezone=UTC")]), "timezone=UTC");
    }

    #[test]
    fn replication_is_not_for_a_pooler() {
        for value in ["true", "database", "1", "on", "", "o", "falsehood"] {
            assert_eq!(
                kept(as_is, &[("replication", value)]),
                "replication connections are not supported",
                "{value:?}"
            );
        }
        for value in ["false", "FALSE", "f", "no", "off", "0"] {
            assert_eq!(kept(as_is, &[("replication", value)]), "", "{value:?}");
        }
        let ignore = |auth: &mut Auth| auth.ignore_startup_parameters = vec!["replication".into()];
        assert_eq!(kept(ignore, &[("replication", "true")]), "");
    }

    #[test]
    fn the_host_can_be_told_to_the_server() {
        let add = |auth: &mut Auth| auth.application_name_add_host = true;
        assert_eq!(kept(add, &[]), "application_name=app - 10.0.0.7:5555");
        assert_eq!(kept(add, &[("application_name", "shop")]), "application_name=shop - 10.0.0.7:5555");
    }

    #[test]
    fn the_database_defaults_to_the_user_and_the_user_to_nothing() {
        assert_eq!(read(as_is, &[]).unwrap().database, "ann");
        assert_eq!(read(as_is, &[("database", "")]).unwrap().database, "ann");
        assert_eq!(read(as_is, &[("database", "shop")]).unwrap().database, "shop");
        assert_eq!(read(as_is, &[("user", "")]).unwrap_err().message, "no username supplied");
    }
}
