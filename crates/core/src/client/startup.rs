//! What a startup packet wishes for: who, where, and with which settings.
//!
//! Settings that PostgreSQL reports can follow a client from server connection to server connection, so these
//! are kept; those in `ignore_startup_parameters` are dropped; any other is refused, since it would silently
//! not be in force.

use howdah_wire::{ErrorResponse, ProtocolVersion, Startup};

use super::Peer;
use crate::refusal;
use crate::settings::Auth;

/// A startup packet with its meaning.
#[derive(Debug)]
pub(super) struct Wish {
    pub(super) user: String,
    pub(super) database: String,
    pub(super) version: ProtocolVersion,
    /// The version asked for is not spoken here, or these options are unknown: the client must be told.
    pub(super) negotiate: Option<Vec<String>>,
    pub(super) parameters: Vec<(String, String)>,
}

impl Wish {
    pub(super) fn read(startup: Startup, auth: &Auth, peer: &Peer) -> Result<Wish, ErrorResponse> {
        let mut parameters = Parameters { auth, kept: Vec::new() };
        let mut unknown = Vec::new();
        let (mut user, mut database) = (String::new(), String::new());
        for (name, value) in startup.parameters {
            match name.as_str() {
                "user" => user = value,
                "database" => database = value,
                "options" => parameters.options(&value)?,
                "replication" if !parameters.ignores(&name) && !is_false(&value) => {
                    return Err(refusal::replication());
                }
                "replication" => {}
                option if option.starts_with("_pq_.") => unknown.push(name),
                _ if parameters.keep(&name, value) || parameters.ignores(&name) => {}
                _ => return Err(refusal::startup_parameter(&name)),
            }
        }
        if user.is_empty() {
            return Err(refusal::no_user());
        }
        if database.is_empty() {
            database.clone_from(&user);
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

/// The settings kept so far.
struct Parameters<'a> {
    auth: &'a Auth,
    kept: Vec<(String, String)>,
}

impl Parameters<'_> {
    /// Keeps a setting if it is one that can follow the client; the last value counts.
    fn keep(&mut self, name: &str, value: String) -> bool {
        let same = |known: &&str| known.eq_ignore_ascii_case(name);
        let extra = || self.auth.track_extra_parameters.iter().map(String::as_str);
        let known = TRACKED.into_iter().find(same).or_else(|| {
            // Reported under PostgreSQL's spelling, whatever the configuration's.
            extra().find(same).map(|spelled| MIXED_CASE.into_iter().find(same).unwrap_or(spelled))
        });
        let Some(known) = known else { return false };
        match self.kept.iter_mut().find(|(kept, _)| kept == known) {
            Some((_, kept)) => *kept = value,
            None => self.kept.push((known.to_owned(), value)),
        }
        true
    }

    fn ignores(&self, name: &str) -> bool {
        self.auth.ignore_startup_parameters.iter().any(|ignored| ignored.eq_ignore_ascii_case(name))
    }

    /// `-c name=value`, `-cname=value` and `--name=value`, as PostgreSQL splits and reads them.
    fn options(&mut self, options: &str) -> Result<(), ErrorResponse> {
        let lenient = self.ignores("options");
        let mut words = split_words(options).into_iter();
        while let Some(word) = words.next() {
            let assignment = match word.strip_prefix("--").or_else(|| word.strip_prefix("-c")) {
                Some("") if word == "-c" => words.next(),
                Some(assignment) => Some(assignment.to_owned()),
                None => None,
            };
            match assignment.as_deref().and_then(|assignment| assignment.split_once('=')) {
                Some((name, value)) => {
                    let name = name.replace('-', "_");
                    if !(self.keep(&name, value.to_owned()) || lenient || self.ignores(&name)) {
                        return Err(refusal::startup_parameter_in_options(&name));
                    }
                }
                None if lenient => {}
                None => return Err(refusal::startup_options()),
            }
        }
        Ok(())
    }

    fn add_host(&mut self, peer: &Peer) {
        let name = self.kept.iter().find(|(name, _)| name == APPLICATION_NAME);
        let name = name.map_or("app", |(_, value)| value.as_str());
        let named = format!("{name} - {}:{}", peer.address.host, peer.address.port);
        self.keep(APPLICATION_NAME, named);
    }
}

/// Words between white space; a backslash takes the next character as it is.
fn split_words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            c if c.is_ascii_whitespace() || c == '\x0b' => words.extend(word.take()),
            '\\' => word.get_or_insert_default().extend(chars.next()),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

/// PostgreSQL's ways to say no: any beginning of `false` or `no`, `off`, `0`.
fn is_false(value: &str) -> bool {
    let value = value.to_ascii_lowercase();
    let begins = |word: &str| !value.is_empty() && word.starts_with(&value);
    begins("false") || begins("no") || value == "of" || value == "off" || value == "0"
}

/// Settings every PostgreSQL reports and every pooler lets follow the client.
const TRACKED: [&str; 5] =
    ["client_encoding", "DateStyle", "TimeZone", "standard_conforming_strings", APPLICATION_NAME];
/// Further settings whose names PostgreSQL reports in mixed case.
const MIXED_CASE: [&str; 1] = ["IntervalStyle"];
const APPLICATION_NAME: &str = "application_name";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::Address;
    use crate::settings::Settings;

    fn read(change: impl FnOnce(&mut Auth), parameters: &[(&str, &str)]) -> Result<Wish, ErrorResponse> {
        let mut settings = Settings::default();
        change(&mut settings.auth);
        let peer = Peer {
            address: Address { host: "10.0.0.7".into(), port: 5555 },
            unix: false,
            pid: None,
            same_user: false,
        };
        let mut list = vec![("user".to_owned(), "ann".to_owned())];
        list.extend(parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let startup = Startup { version: ProtocolVersion::V3_0, parameters: list };
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
    fn reported_settings_are_kept_under_postgresqls_spelling() {
        let sent =
            [("datestyle", "ISO"), ("TIMEZONE", "UTC"), ("intervalstyle", "iso_8601"), ("TimeZone", "CET")];
        assert_eq!(kept(as_is, &sent), "DateStyle=ISO; TimeZone=CET; IntervalStyle=iso_8601");
        let track = |auth: &mut Auth| auth.track_extra_parameters = vec!["search_path".into()];
        assert_eq!(kept(track, &[("Search_Path", "a, b")]), "search_path=a, b");
        assert_eq!(kept(track, &[("IntervalStyle", "x")]), "unsupported startup parameter: IntervalStyle");
    }

    #[test]
    fn others_are_refused_or_ignored() {
        assert_eq!(kept(as_is, &[("geqo", "off")]), "unsupported startup parameter: geqo");
        let ignore = |auth: &mut Auth| auth.ignore_startup_parameters = vec!["extra_float_digits".into()];
        assert_eq!(kept(ignore, &[("extra_float_digits", "2"), ("timezone", "UTC")]), "TimeZone=UTC");
    }

    #[test]
    fn options_are_settings_in_another_coat() {
        let options = |text: &'static str| [("options", text)];
        let words = r"-c datestyle=ISO\,\ MDY --timezone=UTC  -cintervalstyle=a\\b --application-name=x=y ";
        assert_eq!(
            kept(as_is, &options(words)),
            r"DateStyle=ISO, MDY; TimeZone=UTC; IntervalStyle=a\b; application_name=x=y"
        );
        assert_eq!(kept(as_is, &options("")), "");
        assert_eq!(kept(as_is, &options("-c geqo=off")), "unsupported startup parameter in options: geqo");
        for nonsense in ["-c", "-c geqo", "-B 100", "timezone=UTC", "--", "-", "\\"] {
            assert_eq!(
                kept(as_is, &options(nonsense)),
                "unsupported options startup parameter: only '-c config=val' is allowed",
                "{nonsense:?}"
            );
            let lenient = |auth: &mut Auth| auth.ignore_startup_parameters = vec!["options".into()];
            assert_eq!(kept(lenient, &options(nonsense)), "", "{nonsense:?}");
        }
        let ignore = |auth: &mut Auth| auth.ignore_startup_parameters = vec!["geqo".into()];
        assert_eq!(kept(ignore, &options("-c geqo=off -c timezone=UTC")), "TimeZone=UTC");
        let lenient = |auth: &mut Auth| auth.ignore_startup_parameters = vec!["options".into()];
        assert_eq!(kept(lenient, &options("-c geqo=off -c timezone=UTC")), "TimeZone=UTC");
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
