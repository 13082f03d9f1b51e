//! From the items of the files to [`Settings`]: which section an entry is in, which setting it sets, what is missing.

use std::collections::BTreeMap;
use std::path::Path;

use howdah_core::settings::Settings;

use crate::ini::{self, Item};
use crate::problem::{Place, Problem};
use crate::settings::{self, Setting, text::Invalid};
use crate::source::Source;
use crate::{checks, entry, userlist};

/// What a configuration says, and what is wrong with it.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    /// The settings; not to be used while there are errors.
    pub settings: Settings,
    /// Every mistake, by file and line.
    pub problems: Vec<Problem>,
    /// False: `auth_file` is named but could not be read. A start goes on with nobody known; a reload should keep the
    /// secrets it has, as PgBouncer does.
    pub secrets_read: bool,
}

impl Loaded {
    /// Whether there are no errors.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        !self.problems.iter().any(|problem| problem.severity == crate::Severity::Error)
    }
}

/// Reads `path` and what it names from `source`.
#[must_use]
pub fn load_from(path: &Path, source: &dyn Source) -> Loaded {
    let mut problems = Vec::new();
    let items = ini::read(path, source, &mut problems);
    let mut loader = Loader::new(&mut problems);
    let unreadable = items.is_empty() && !loader.problems.is_empty();
    for (place, item) in items {
        match item {
            Item::Section(name) => loader.section(name, &place),
            Item::Entry { key, value } => loader.entry(&key, &value, place),
        }
    }
    let Loader { mut settings, places, has_main_section, .. } = loader;
    if !has_main_section && !unreadable {
        problems.push(Problem::error("the section [pgbouncer] is missing").at(&Place::file(path)));
    }
    let secrets = settings.auth.file.as_ref().map(|file| userlist::read(file, source, &mut problems));
    let secrets_read = !matches!(secrets, Some(None));
    settings.secrets = secrets.flatten().unwrap_or_default();
    if !unreadable {
        checks::check(&settings, secrets_read, &places, &Place::file(path), &mut problems);
    }
    in_reading_order(path, &mut problems);
    Loaded { settings, problems, secrets_read }
}

/// By file (the main one first), then by line; what is about a file as a whole comes after its lines.
fn in_reading_order(main: &Path, problems: &mut [Problem]) {
    let mut files = vec![main.to_path_buf()];
    for file in problems.iter().filter_map(|problem| problem.file.as_ref()) {
        if !files.contains(file) {
            files.push(file.clone());
        }
    }
    problems.sort_by_key(|problem| {
        let file = files.iter().position(|file| problem.file.as_ref() == Some(file));
        (file, problem.line.unwrap_or(u32::MAX))
    });
}

/// Where things were said, for what is checked at the end.
#[derive(Default)]
pub(crate) struct Places {
    pub(crate) settings: BTreeMap<&'static str, Place>,
    pub(crate) databases: BTreeMap<String, Place>,
    pub(crate) users: BTreeMap<String, Place>,
}

struct Loader<'a> {
    settings: Settings,
    section: Section,
    has_main_section: bool,
    has_peers: bool,
    places: Places,
    problems: &'a mut Vec<Problem>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Section {
    /// Before the first one.
    None,
    Main,
    Databases,
    Users,
    Peers,
    /// Reported where it begins; its entries mean nothing.
    Unknown,
}

impl<'a> Loader<'a> {
    fn new(problems: &'a mut Vec<Problem>) -> Loader<'a> {
        Loader {
            settings: Settings::default(),
            section: Section::None,
            has_main_section: false,
            has_peers: false,
            places: Places::default(),
            problems,
        }
    }

    fn section(&mut self, name: String, place: &Place) {
        self.section = match name.as_str() {
            "pgbouncer" => Section::Main,
            "databases" => Section::Databases,
            "users" => Section::Users,
            "peers" => Section::Peers,
            _ => Section::Unknown,
        };
        match self.section {
            Section::Main => self.main_section(place),
            Section::Unknown => {
                let problem = Problem::error(format!("unknown section [{name}]")).at(place);
                self.problems.push(problem.suggest(&name, ["pgbouncer", "databases", "users", "peers"]));
            }
            _ => {}
        }
    }

    /// PgBouncer fills in the defaults at each `[pgbouncer]`, so a second one forgets what was set before, except
    /// what has no default.
    fn main_section(&mut self, place: &Place) {
        self.has_main_section = true;
        let before = self.places.settings.len();
        self.places.settings.retain(|name, _| settings::find(name).is_some_and(|s| s.default.is_none()));
        if self.places.settings.len() == before {
            return;
        }
        for setting in settings::all() {
            if let Some(default) = setting.default {
                setting.value.set(&mut self.settings, default).expect("a default is valid");
            }
        }
        let message = "another [pgbouncer] section: as with PgBouncer, what was set before is forgotten";
        self.problems.push(Problem::warning(message).at(place).hint("put all settings in one section"));
    }

    fn entry(&mut self, key: &str, value: &str, place: Place) {
        match self.section {
            Section::None => {
                let problem = Problem::error(format!("\"{key}\" stands before the first section")).at(&place);
                self.problems.push(problem.hint("settings belong below [pgbouncer]"));
            }
            Section::Main => self.setting(key, value, place),
            Section::Databases => self.database(key, value, place),
            Section::Users => {
                let user = entry::user(key, value, &place, self.problems);
                self.settings.users.insert(key.to_owned(), user);
                let earlier = self.places.users.insert(key.to_owned(), place.clone());
                self.twice(key, earlier, &place);
            }
            Section::Peers if !self.has_peers => {
                self.has_peers = true;
                let message = "[peers] is known to PgBouncer, not built yet: it has no effect";
                self.problems.push(Problem::warning(message).at(&place));
            }
            Section::Peers | Section::Unknown => {}
        }
    }

    fn setting(&mut self, key: &str, value: &str, place: Place) {
        let Some(setting) = settings::find(key) else {
            let problem = Problem::error(format!("unknown setting \"{key}\"")).at(&place);
            return self.problems.push(problem.suggest(key, settings::all().map(|setting| setting.name)));
        };
        match apply(setting, &mut self.settings, value) {
            Ok(()) if setting.lacks(value) => self.problems.push(not_built(setting).at(&place)),
            Ok(()) => {}
            Err(problem) => self.problems.push(problem.at(&place)),
        }
        if setting.name == "unix_socket_mode" && !value.starts_with('0') {
            let problem =
                Problem::warning("unix_socket_mode without a leading 0 is a decimal number").at(&place);
            self.problems.push(problem.hint(format!("write 0{value}")));
        }
        let earlier = self.places.settings.insert(setting.name, place.clone());
        self.twice(key, earlier, &place);
    }

    fn database(&mut self, name: &str, text: &str, place: Place) {
        if CONSOLES.contains(&name) {
            let problem = Problem::error(format!("the database name \"{name}\" is reserved for the console"));
            return self.problems.push(problem.at(&place));
        }
        let database = entry::database(name, text, &place, self.problems);
        if name == "*" {
            self.settings.any_database = Some(database);
        } else {
            self.settings.databases.insert(name.to_owned(), database);
        }
        let earlier = self.places.databases.insert(name.to_owned(), place.clone());
        self.twice(name, earlier, &place);
    }

    fn twice(&mut self, key: &str, earlier: Option<Place>, place: &Place) {
        if let Some(earlier) = earlier {
            let message = format!("\"{key}\" was set before, at {earlier}; this one counts");
            self.problems.push(Problem::warning(message).at(place));
        }
    }
}

/// Sets a setting from its text.
pub(crate) fn apply(setting: &Setting, settings: &mut Settings, value: &str) -> Result<(), Problem> {
    let invalid = |why: Invalid| {
        Problem::error(format!("invalid value \"{}\" for {}: {why}", value.escape_debug(), setting.name))
    };
    if setting.refuses(value) {
        return Err(invalid(Invalid::Refused));
    }
    setting.value.set(settings, value).map_err(invalid)
}

/// What is said of a setting that does nothing yet.
pub(crate) fn not_built(setting: &Setting) -> Problem {
    let problem =
        Problem::warning(format!("{} is known to PgBouncer, not built yet: it has no effect", setting.name));
    match setting.name {
        "auth_user" | "auth_query" | "auth_dbname" => problem.hint(entry::WIDENS),
        _ => problem,
    }
}

/// The console's database names.
pub(crate) const CONSOLES: [&str; 2] = ["pgbouncer", "howdah"];
