//! The PostgreSQL and the Howdah in which the scripts of a file are played, and what all of them may use.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

use super::play::{play, until};
use super::report::verdict;
use super::script::Script;
use super::stage::Stage;
use super::text::{File, read};
use crate::howdah::Howdah;
use crate::postgres::{Database, postgres};
use crate::raw::client::RawClient;

/// Plays all scripts of a file both ways.
///
/// # Panics
/// Some have other replies through Howdah, or somebody else finds something of theirs; all of them are named.
#[track_caller]
pub fn check(name: &str) {
    if let Some(report) = compare_all(name, &load(name), PoolMode::Transaction) {
        panic!("{report}");
    }
}

/// Plays the scripts of all files but the exceptions both ways, with a server connection for each client as long as
/// it stays.
///
/// # Panics
/// Some have other replies through Howdah; all of them are named.
#[track_caller]
pub fn check_in_session_mode() {
    let files = all();
    let compared = files.iter().filter(|(name, _)| *name != "exceptions");
    let reports: Vec<_> =
        compared.filter_map(|(name, file)| compare_all(name, file, PoolMode::Session)).collect();
    assert!(reports.is_empty(), "{}", reports.join("\n"));
}

/// Plays all scripts of all files on direct connections twice.
///
/// # Panics
/// A script does not have the same replies both times: it depends on chance.
#[track_caller]
pub fn check_direct() {
    let mut theatre = Theatre::without_howdah();
    let mut reports = Vec::new();
    for (name, file) in all() {
        let failures = file.scripts.iter().filter_map(|script| {
            let (one, two) = (theatre.direct_replies(&name, script), theatre.play_directly(script));
            let plain = Script {
                steps: script.steps.iter().cloned().map(without_exception).collect(),
                ..script.clone()
            };
            verdict(&plain, &one, &two).map(|what| format!("{} (line {})\n{what}", script.name, script.line))
        });
        reports.extend(report(&name, &file, &failures.collect::<Vec<_>>()));
    }
    assert!(reports.is_empty(), "{}", reports.join("\n"));
}

/// Sees that exceptions and `docs/transparency.md` speak of each other.
///
/// # Panics
/// One of them names what the other does not know.
#[track_caller]
pub fn check_exceptions() {
    let page = root().join("../docs/transparency.md");
    let page = std::fs::read_to_string(&page).unwrap_or_else(|error| panic!("{page:?}: {error}"));
    let rows: Vec<_> = page.lines().filter(|line| line.starts_with("| ")).collect();
    let mut shown = BTreeSet::new();
    for (file, script) in all().iter().flat_map(|(name, file)| file.scripts.iter().map(move |it| (name, it)))
    {
        let name = format!("{file}: {}", script.name);
        let differs = script.steps.iter().any(|step| !step.instead.is_empty());
        assert_eq!(
            differs,
            script.exception.is_some(),
            "{name}: a difference and an exception belong together"
        );
        let Some(exception) = &script.exception else { continue };
        let row =
            rows.iter().find(|row| row.contains(exception.as_str()) && row.contains(&format!("`{name}`")));
        assert!(row.is_some(), "docs/transparency.md has no line with {exception:?} and `{name}`");
        shown.insert(name);
    }
    let files = files();
    let is_script =
        |code: &&str| code.split_once(": ").is_some_and(|(file, _)| files.iter().any(|it| it == file));
    let claimed: BTreeSet<_> = rows
        .iter()
        .flat_map(|row| row.split('`').skip(1).step_by(2))
        .filter(is_script)
        .map(str::to_owned)
        .collect();
    assert_eq!(claimed, shown, "docs/transparency.md and the scripts with an exception");
}

/// The names of the files.
#[must_use]
pub fn files() -> Vec<String> {
    all().into_keys().collect()
}

/// Plays a file through Howdah and tells how often a client was brought to another server connection between two
/// transactions, and how often not.
#[must_use]
pub fn scatters(name: &str) -> (usize, usize) {
    let file = load(name);
    let mut theatre = Theatre::open(&file, PoolMode::Transaction);
    for script in &file.scripts {
        theatre.play_through_howdah(script);
    }
    theatre.scatters()
}

/// How the Howdah of a theatre pools.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PoolMode {
    Transaction,
    Session,
}

impl PoolMode {
    fn name(self) -> &'static str {
        match self {
            Self::Transaction => "transaction",
            Self::Session => "session",
        }
    }
}

struct Theatre {
    database: Database,
    superuser: RawClient,
    howdah: Option<Howdah>,
    pool_mode: PoolMode,
    /// By the number of scripted clients.
    stages: BTreeMap<usize, Stage>,
}

impl Theatre {
    fn open(file: &File, pool_mode: PoolMode) -> Self {
        let mut theatre = Self::without_howdah();
        theatre.pool_mode = pool_mode;
        let mut builder = Howdah::builder()
            .setting("pool_mode", pool_mode.name())
            .setting("max_client_conn", 1000)
            .setting("query_wait_notify", 0)
            .setting("query_wait_timeout", 20);
        for clients in CLIENTS {
            let server = format!("{} pool_size={}", theatre.database.server(), clients + SPARE);
            builder = builder.database(&format!("of_{clients}"), &server);
        }
        for user in USERS {
            builder = builder.secret(user, "");
        }
        builder = file.settings.iter().fold(builder, |builder, (name, value)| builder.setting(name, value));
        theatre.howdah = Some(builder.start());
        theatre
    }

    fn without_howdah() -> Self {
        static ROLES: OnceLock<()> = OnceLock::new();
        ROLES.get_or_init(|| postgres().psql(ROLES_SQL).map(drop).unwrap_or_else(|error| panic!("{error}")));
        let database = Database::create();
        let mut superuser = database.direct();
        superuser.run(DATABASE_SQL);
        Self { database, superuser, howdah: None, pool_mode: PoolMode::Transaction, stages: BTreeMap::new() }
    }

    /// What is wrong with a script.
    fn compare(&mut self, file: &str, script: &Script) -> Option<String> {
        let direct = self.direct_replies(file, script);
        let (howdah, complaints) = self.play_through_howdah(script);
        let difference = verdict(script, &direct, &howdah);
        if difference.is_none() && complaints.is_empty() {
            return None;
        }
        // What this one spoilt must not be held against the next.
        self.start_afresh();
        let complaints = complaints.iter().take(2).map(|it| format!("  {it}\n")).collect::<String>();
        let place = format!("{} (line {})", script.name, script.line);
        Some(format!("{place}\n{}{complaints}", difference.unwrap_or_default()))
    }

    /// What PostgreSQL says, the same in every theatre: it is played once for all.
    fn direct_replies(&mut self, file: &str, script: &Script) -> Vec<Vec<String>> {
        static KNOWN: Mutex<BTreeMap<String, Vec<Vec<String>>>> = Mutex::new(BTreeMap::new());
        let known = || KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        let name = format!("{file}: {}", script.name);
        if let Some(replies) = known().get(&name) {
            return replies.clone();
        }
        let replies = self.play_directly(script);
        known().insert(name, replies.clone());
        replies
    }

    fn play_directly(&mut self, script: &Script) -> Vec<Vec<String>> {
        let socket = postgres().socket_path();
        let mut stage = Stage::Direct { socket, database: self.database.name().to_owned() };
        let replies = play(script, &mut stage, &mut self.superuser);
        self.clean();
        replies
    }

    /// The replies, and what others found that was not theirs.
    fn play_through_howdah(&mut self, script: &Script) -> (Vec<Vec<String>>, Vec<String>) {
        let socket = self.howdah.as_ref().expect("there is a Howdah").socket_path();
        let clients = script.clients().len();
        let stage = self.stages.entry(clients).or_insert_with(|| Stage::Howdah {
            socket,
            pool: format!("of_{clients}"),
            pool_size: clients + SPARE,
            crowds: (self.pool_mode == PoolMode::Transaction).then(BTreeMap::new),
        });
        stage.forget();
        let replies = play(script, stage, &mut self.superuser);
        let mut complaints = stage.complaints();
        if !until(&mut self.superuser, NOTHING_IS_HELD) {
            complaints.push("locks or transactions outlive their client".to_owned());
        }
        self.clean();
        (replies, complaints)
    }

    /// New server connections, and a new crowd.
    fn start_afresh(&mut self) {
        self.stages.clear();
        let howdah = self.howdah.as_ref().expect("there is a Howdah");
        let mut console = RawClient::unix(&howdah.socket_path());
        console.login("pgbouncer", "postgres");
        console.run("RECONNECT");
        assert!(until(&mut self.superuser, NOBODY_ELSE_IS_THERE), "server connections outlive RECONNECT");
    }

    /// Takes away what the script has made in the database.
    fn clean(&mut self) {
        self.superuser.run(CLEAN_SQL);
    }

    fn scatters(&mut self) -> (usize, usize) {
        self.stages
            .values_mut()
            .map(Stage::scatters)
            .fold((0, 0), |sum, stage| (sum.0 + stage.0, sum.1 + stage.1))
    }
}

fn compare_all(name: &str, file: &File, pool_mode: PoolMode) -> Option<String> {
    let mut theatre = Theatre::open(file, pool_mode);
    let failures: Vec<_> = file.scripts.iter().filter_map(|script| theatre.compare(name, script)).collect();
    report(name, file, &failures)
}

fn without_exception(step: super::script::Step) -> super::script::Step {
    super::script::Step { instead: Vec::new(), ..step }
}

fn report(name: &str, file: &File, failures: &[String]) -> Option<String> {
    let head = format!("{name}: {} of {} scripts differ", failures.len(), file.scripts.len());
    (!failures.is_empty()).then(|| format!("{head}\n\n{}", failures.join("\n")))
}

fn load(name: &str) -> File {
    let path = root().join("parity").join(format!("{name}.script"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    read(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn all() -> BTreeMap<String, File> {
    let dir = root().join("parity");
    let entries = std::fs::read_dir(&dir).unwrap_or_else(|error| panic!("{dir:?}: {error}"));
    let paths = entries.map(|entry| entry.expect("a folder can be listed").path());
    paths
        .filter(|path| path.extension().is_some_and(|it| it == "script"))
        .map(|path| path.file_stem().expect("a file has a name").to_string_lossy().into_owned())
        .map(|name| (name.clone(), load(&name)))
        .collect()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

/// How many clients a script may have.
const CLIENTS: std::ops::RangeInclusive<usize> = 1..=4;
/// Server connections beyond one for each scripted client: one that is free when all of them hold one, and the one that
/// listens, which counts in the limit.
const SPARE: usize = 2;

const USERS: [&str; 3] = ["alice", "bob", "carol"];

/// `alice` is nobody special, `carol` has start values of her own.
const ROLES_SQL: &str = "CREATE ROLE bob LOGIN; CREATE ROLE junk_role; \
    CREATE ROLE alice LOGIN IN ROLE bob, junk_role; \
    CREATE ROLE carol LOGIN IN ROLE bob, junk_role; \
    ALTER ROLE carol SET work_mem = '3MB'; ALTER ROLE carol SET search_path = 'carol', 'public'; \
    GRANT junk_role TO bob";

/// Whoever looks into the wrong schema finds something there.
const DATABASE_SQL: &str = "GRANT CREATE, USAGE ON SCHEMA public TO PUBLIC; \
    CREATE SCHEMA junk; GRANT USAGE ON SCHEMA junk TO PUBLIC; \
    CREATE TABLE junk.t AS SELECT 'junk'::text AS a; GRANT SELECT ON junk.t TO PUBLIC";

/// Whether nothing is left of those who have gone, the crowd's idle connections aside.
const NOTHING_IS_HELD: &str = "SELECT \
    NOT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' \
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())) \
    AND NOT EXISTS (SELECT FROM pg_stat_activity \
        WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start IS NOT NULL)";

/// Whether all server connections of the database are closed.
const NOBODY_ELSE_IS_THERE: &str = "SELECT NOT EXISTS (SELECT FROM pg_stat_activity \
    WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid())";

const CLEAN_SQL: &str = r"DO $$
DECLARE
    name text;
BEGIN
    PERFORM lo_unlink(oid) FROM pg_largeobject_metadata;
    FOR name IN SELECT nspname FROM pg_namespace WHERE nspname !~ '^(pg_|information_schema$|junk$|public$)' LOOP
        EXECUTE format('DROP SCHEMA %I CASCADE', name);
    END LOOP;
    IF EXISTS (SELECT FROM pg_class WHERE relnamespace = 'public'::regnamespace)
        OR EXISTS (SELECT FROM pg_proc WHERE pronamespace = 'public'::regnamespace)
        OR EXISTS (SELECT FROM pg_type WHERE typnamespace = 'public'::regnamespace) THEN
        DROP SCHEMA public CASCADE;
        CREATE SCHEMA public;
        GRANT CREATE, USAGE ON SCHEMA public TO PUBLIC;
    END IF;
END $$";
