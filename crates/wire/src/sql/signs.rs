//! What may running a text do to the session?
//!
//! [`Signs::of`] reads a text's words once. It errs to one side only: a sign that is there may be wrong (the
//! statement failed, the word was a column's name), one that is not there may be relied upon, except for what
//! functions do that [`Hints`] say nothing about. Nothing is allocated unless the text names settings.

use super::hints::Hints;
use super::scan;

/// What running a text may do to a session: a set of [`Sign`]s, and the settings they are about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Signs {
    bits: u32,
    names: Vec<Box<str>>,
    /// Those among them that it resets and does not set behind that.
    // Rare, and small where there are none, as signs are handed around.
    resets: Option<Box<[Box<str>]>>,
}

/// One thing that running a text may do to a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// It may make a transaction permanent by its own word; see [`ends_transaction`](super::ends_transaction).
    Commits,
    /// It may make prepared statements vanish: DEALLOCATE, DISCARD ALL.
    Clears,
    /// It sets the settings in [`Signs::names`] beyond the transaction: SET, `set_config`.
    Setting,
    /// It may change a setting, and which one cannot be told.
    SettingUnknown,
    /// The name of that setting is computed: it need not stand in the text nor among its parameters.
    NameComputed,
    /// It changes a setting, but nothing outlasts the transaction: SET LOCAL, `set_config(…, true)`.
    SettingLocal,
    /// That one is a custom parameter, or may be: PostgreSQL knows its name from then on. If it stands in the text, it
    /// is among [`Signs::names`].
    CustomName,
    /// It changes, perhaps for the transaction only, what statements that are prepared from now on mean: the
    /// role, `search_path`, or a setting by which literals are read.
    Meaning,
    /// It resets the settings in [`Signs::names`]: RESET, SET … TO DEFAULT.
    Reset,
    /// RESET ALL, DISCARD ALL.
    ResetAll,
    /// It changes the role or the session's user.
    Role,
    /// RESET ROLE, DISCARD ALL.
    RoleReset,
    /// PREPARE of a statement. What the prepared statement does when it is run shows among the signs, too.
    Prepare,
    /// EXECUTE, also within EXPLAIN and CREATE TABLE AS.
    Execute,
    /// DEALLOCATE, DISCARD ALL.
    Deallocate,
    /// LISTEN.
    Listen,
    /// UNLISTEN, DISCARD ALL.
    Unlisten,
    /// NOTIFY, `pg_notify`.
    Notify,
    /// It makes something temporary, or names the schema `pg_temp`.
    Temp,
    /// DROP and DISCARD: something temporary may be gone.
    Drop,
    /// It takes an advisory lock that outlasts the transaction.
    Lock,
    /// It gives back such locks.
    Unlock,
    /// DECLARE … WITH HOLD.
    HoldCursor,
    /// CLOSE, DISCARD ALL.
    CloseCursor,
    /// `setseed`.
    Seed,
    /// LOAD, and a few functions whose effect also lasts until the session ends and cannot be asked for.
    Load,
    /// `nextval`, `setval`.
    NextVal,
    /// `currval`, `lastval`.
    CurrVal,
    /// It makes a replication slot, perhaps a temporary one.
    Slot,
    /// Anything may have happened: DO, CALL, a text that can be read in several ways, a function that is opaque.
    Opaque,
    /// It looks at `pg_prepared_statements`.
    PreparedView,
    /// It changes what functions, triggers or views do, so [`Hints`] may be out of date.
    Schema,
}

impl Signs {
    /// Of a text that does nothing to the session.
    pub const PLAIN: &Signs = &Signs { bits: 0, names: Vec::new(), resets: None };

    /// What running this text may do.
    #[must_use]
    pub fn of(text: &[u8], hints: &Hints) -> Signs {
        scan::signs(text, hints)
    }

    /// What may be done by a text that could not be looked at.
    #[must_use]
    pub fn unseen() -> Signs {
        Signs { bits: UNSEEN, ..Signs::default() }
    }

    /// Whether it may do this.
    #[must_use]
    #[inline]
    pub fn has(&self, sign: Sign) -> bool {
        self.bits & bit(sign) != 0
    }

    /// Whether nothing of it outlasts the transaction in the session, nor has to be known before it is run.
    #[must_use]
    #[inline]
    pub fn is_plain(&self) -> bool {
        self.bits & !PLAIN == 0
    }

    /// The settings that are set or reset, each once, as PostgreSQL compares their names: in small letters. Of those that
    /// are set for the transaction only, the custom ones.
    #[must_use]
    pub fn names(&self) -> &[Box<str>] {
        &self.names
    }

    /// Those among them that have been reset in the end.
    #[must_use]
    pub fn resets(&self) -> &[Box<str>] {
        self.resets.as_deref().unwrap_or_default()
    }

    /// Adds what another text may do.
    pub fn merge(&mut self, other: &Signs) {
        self.bits |= other.bits;
        for name in &other.names {
            self.add_name(name);
        }
        for name in other.resets() {
            self.add_reset(name);
        }
    }

    /// Whether there is a sign.
    pub(super) fn any(&self) -> bool {
        self.bits != 0
    }

    /// Merges, and reports whether something was new.
    pub(super) fn merge_changes(&mut self, other: &Signs) -> bool {
        let before = (self.bits, self.names.len(), self.resets().len());
        self.merge(other);
        before != (self.bits, self.names.len(), self.resets().len())
    }

    pub(super) fn without(mut self, sign: Sign) -> Signs {
        self.bits &= !bit(sign);
        self
    }

    pub(super) fn add(&mut self, sign: Sign) {
        self.bits |= bit(sign);
        if sign == Sign::Role {
            self.bits |= bit(Sign::Meaning);
        }
    }

    /// It changes a setting for the transaction; `None`: which one cannot be told.
    pub(super) fn add_local(&mut self, name: Option<&str>) {
        self.add(Sign::SettingLocal);
        if name.is_none_or(|name| name.contains('.')) {
            self.add(Sign::CustomName);
            name.into_iter().for_each(|name| self.add_name(name));
        }
        if name
            .is_none_or(|name| MEANING.contains(&name) || name == "role" || name == "session_authorization")
        {
            self.add(Sign::Meaning);
        }
    }

    /// It sets or resets (that is the sign) the setting of this name.
    pub(super) fn add_setting(&mut self, sign: Sign, name: &str) {
        match name {
            "role" | "session_authorization" => self.add(Sign::Role),
            // It can be set but not read.
            "seed" => self.add(Sign::Seed),
            // They are the transaction's, even if SET outside of a block.
            "transaction_isolation" | "transaction_read_only" | "transaction_deferrable" => {
                self.add(Sign::SettingLocal);
            }
            _ => {
                self.add(sign);
                self.add_name(name);
                if sign == Sign::Reset {
                    self.add_reset(name);
                } else {
                    self.is_set_after(name);
                }
                if MEANING.contains(&name) {
                    self.add(Sign::Meaning);
                }
            }
        }
    }

    fn add_reset(&mut self, name: &str) {
        if self.resets().len() < MAX_NAMES && !self.resets().iter().any(|known| **known == *name) {
            let mut resets = self.resets.take().map(<[_]>::into_vec).unwrap_or_default();
            resets.push(name.into());
            self.resets = Some(resets.into());
        }
    }

    fn is_set_after(&mut self, name: &str) {
        if let Some(resets) = self.resets.take() {
            let left: Vec<_> = resets.into_iter().filter(|reset| **reset != *name).collect();
            self.resets = Some(left).filter(|left| !left.is_empty()).map(Vec::into);
        }
    }

    /// The setting of this name is to be asked about.
    pub(super) fn add_name(&mut self, name: &str) {
        if self.names.iter().any(|known| **known == *name) {
            return;
        }
        if self.names.len() < MAX_NAMES {
            self.names.push(name.into());
        } else {
            self.add(Sign::SettingUnknown);
        }
    }
}

const fn bit(sign: Sign) -> u32 {
    1 << sign as u32
}

/// More than that are not told apart: bounds memory and the search for duplicates.
const MAX_NAMES: usize = 64;

/// Settings that decide what a text means: where its names lead, and how its literals are read.
const MEANING: [&str; 10] = [
    "search_path",
    "client_encoding",
    "datestyle",
    "timezone",
    "intervalstyle",
    "standard_conforming_strings",
    "backslash_quote",
    "transform_null_equals",
    "array_nulls",
    "xmloption",
];

const UNSEEN: u32 = bit(Sign::Commits) | bit(Sign::Opaque);

const PLAIN: u32 = bit(Sign::Commits) | bit(Sign::SettingLocal) | bit(Sign::NextVal);

#[cfg(test)]
mod tests {
    use super::Sign::*;
    use super::*;

    #[test]
    fn what_stays_in_the_session_is_seen() {
        for (text, signs, names) in SIGNS {
            let found = Signs::of(text.as_bytes(), &Hints::default());
            let mut expected = Signs::default();
            signs.iter().for_each(|sign| expected.add(*sign));
            for name in names.split_whitespace() {
                expected.add_name(name);
                if MEANING.contains(&name) {
                    expected.add(Meaning);
                }
            }
            expected.resets = found.resets.clone();
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn so_many_settings_are_told_apart_and_no_more() {
        let text: String = (0..MAX_NAMES + 1).map(|number| format!("SET x{number} = 1;")).collect();
        let signs = Signs::of(text.as_bytes(), &Hints::default());
        assert_eq!(signs.names().len(), MAX_NAMES);
        assert!(signs.has(Sign::Setting) && signs.has(Sign::SettingUnknown));
    }

    #[test]
    fn what_is_reset_is_told_from_what_is_set() {
        for (text, resets) in [
            ("RESET a; SET b = 1", "a"),
            ("SELECT set_config('b', '', false); RESET a", "a"),
            ("RESET a; SET a = 1", ""),
            ("SET a = 1; RESET a; RESET a", "a"),
            ("SET a = DEFAULT; SET TIME ZONE DEFAULT; SET c TO 1", "a timezone"),
            ("RESET ALL", ""),
        ] {
            let signs = Signs::of(text.as_bytes(), &Hints::default());
            assert_eq!(signs.resets().join(" "), resets, "{text}");
        }
        let of = |text: &str| Signs::of(text.as_bytes(), &Hints::default());
        let mut signs = of("RESET a; SET b = 1");
        signs.merge(&of("RESET b; SET a = 1"));
        assert_eq!(signs.resets().join(" "), "a b", "which came last is not known");
    }

    #[test]
    fn what_another_text_does_is_added() {
        let of = |text: &str| Signs::of(text.as_bytes(), &Hints::default());
        let mut signs = of("SET a = 1; LISTEN b");
        signs.merge(&of("SET a = 2; SET c = 3"));
        assert_eq!(signs, of("SET a = 1; LISTEN b; SET c = 3"));
        assert!(!signs.is_plain() && of("SET LOCAL a = 1; COMMIT").is_plain());
        assert!(!Signs::unseen().is_plain() && Signs::unseen().has(Sign::Commits));
    }

    const SIGNS: &[(&str, &[Sign], &str)] = &[
        ("", &[], ""),
        ("SELECT abalance FROM pgbench_accounts WHERE aid = 1;", &[], ""),
        ("UPDATE t SET a = 1 WHERE b = 'reset all'", &[], ""),
        ("INSERT INTO t (tid, mtime) VALUES (1, CURRENT_TIMESTAMP);", &[], ""),
        ("SET x = 1", &[Setting], "x"),
        ("set Session X to 1", &[Setting], "x"),
        ("SET session = 1", &[Setting], "session"),
        ("SET session.x = 1", &[Setting], "session.x"),
        ("SET \"Foo.Bar\" = 1; SET foo . bar TO 2", &[Setting], "foo.bar"),
        ("SET x = DEFAULT", &[Reset], "x"),
        ("SET x TO 1; RESET Y", &[Setting, Reset], "x y"),
        ("SET x FROM CURRENT", &[Setting], "x"),
        ("SET LOCAL x = 1", &[SettingLocal], ""),
        ("SET LOCAL ROLE a", &[SettingLocal, Meaning], ""),
        ("SET LOCAL search_path = a", &[SettingLocal, Meaning], ""),
        ("SET LOCAL TIME ZONE 'UTC'", &[SettingLocal, Meaning], ""),
        ("SELECT set_config('search_path', $1, true)", &[SettingLocal, Meaning], ""),
        ("SET local.x = 1", &[Setting], "local.x"),
        ("SET U&\"x\" = 1", &[SettingUnknown, Opaque], ""),
        ("SET TIME ZONE 'UTC'", &[Setting], "timezone"),
        ("SET TIME ZONE LOCAL", &[Reset], "timezone"),
        ("SET time = 1", &[Setting], "time"),
        ("SET NAMES 'utf8'", &[Setting], "client_encoding"),
        ("SET NAMES", &[Reset], "client_encoding"),
        ("SET NAMES DEFAULT;", &[Reset], "client_encoding"),
        ("SET XML OPTION CONTENT", &[Setting], "xmloption"),
        ("SET SCHEMA 'a'", &[Setting], "search_path"),
        (
            "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
            &[Setting],
            "default_transaction_isolation default_transaction_read_only default_transaction_deferrable",
        ),
        ("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", &[], ""),
        ("SET SESSION TRANSACTION READ ONLY", &[], ""),
        ("SET transaction_read_only = on", &[SettingLocal], ""),
        ("SET CONSTRAINTS ALL DEFERRED", &[], ""),
        ("SET ROLE a", &[Role], ""),
        ("SET role = a", &[Role], ""),
        ("SET SESSION ROLE none", &[Role], ""),
        ("SET SESSION AUTHORIZATION a", &[Role], ""),
        ("SET session_authorization TO a", &[Role], ""),
        ("RESET x.\"Y\"", &[Reset], "x.y"),
        ("RESET ALL", &[ResetAll], ""),
        ("RESET ROLE", &[Role, RoleReset], ""),
        ("RESET SESSION AUTHORIZATION", &[Role], ""),
        ("RESET TIME ZONE", &[Reset], "timezone"),
        ("RESET TRANSACTION ISOLATION LEVEL", &[], ""),
        ("SELECT set_config('Work_Mem', '1', false)", &[Setting], "work_mem"),
        ("SELECT pg_catalog . \"set_config\" ('a', f((1), 2), FALSE)", &[Setting], "a"),
        ("SELECT set_config('a', 'b', true)", &[SettingLocal], ""),
        ("SELECT set_config($1, $2, true)", &[SettingLocal, CustomName, Meaning], ""),
        ("SELECT set_config('a.b', $1, true)", &[SettingLocal, CustomName], "a.b"),
        ("SET LOCAL A.b = 1", &[SettingLocal, CustomName], "a.b"),
        ("SELECT set_config($1, $2, false)", &[SettingUnknown], ""),
        ("SELECT set_config('a' || 'b', 'b', $1)", &[SettingUnknown, NameComputed], ""),
        ("SELECT set_config($1 || 'b', 'b', $2)", &[SettingUnknown, NameComputed], ""),
        ("SELECT set_config($1::text, 'b', $2)", &[SettingUnknown], ""),
        ("SELECT set_config('a', 'b', true and false)", &[Setting], "a"),
        ("SELECT set_config('a', 'b', $1)", &[Setting], "a"),
        ("SELECT set_config('a''b', '', false)", &[SettingUnknown, NameComputed], ""),
        (
            "SELECT set_config(set_config('a', 'b', true), 'c', false)",
            &[SettingUnknown, NameComputed, SettingLocal],
            "",
        ),
        ("SELECT set_config('role', 'a', false)", &[Role], ""),
        ("SELECT set_config", &[], ""),
        ("SELECT 'set_config(' -- set_config(", &[], ""),
        ("SELECT set_limit(0.4)", &[Setting], "pg_trgm.similarity_threshold"),
        ("UPDATE pg_settings SET setting = 1 WHERE name = 'x'", &[SettingUnknown], ""),
        ("SELECT * FROM pg_settings", &[], ""),
        ("ALTER ROLE a SET x = 1", &[], ""),
        ("ALTER SYSTEM SET x = 1", &[], ""),
        ("PREPARE p AS SELECT 1", &[Prepare], ""),
        ("PREPARE p AS SELECT nextval('a')", &[Prepare, NextVal], ""),
        ("PREPARE TRANSACTION 'p'", &[Commits], ""),
        ("EXECUTE p", &[Execute, Commits], ""),
        ("EXPLAIN (ANALYZE) EXECUTE p", &[Execute], ""),
        ("CREATE TABLE t AS EXECUTE p", &[Execute], ""),
        ("DEALLOCATE p", &[Deallocate, Clears], ""),
        ("SELECT 1; DEALLOCATE ALL", &[Deallocate, Clears], ""),
        (
            "DISCARD ALL",
            &[Clears, Deallocate, ResetAll, Role, RoleReset, Drop, Unlisten, Unlock, CloseCursor],
            "",
        ),
        ("DISCARD TEMP", &[Drop], ""),
        ("DISCARD PLANS", &[], ""),
        ("LISTEN a", &[Listen], ""),
        ("UNLISTEN *", &[Unlisten], ""),
        ("NOTIFY a", &[Notify], ""),
        ("SELECT pg_notify('a', 'b')", &[Notify], ""),
        ("CREATE TEMP TABLE t (a int)", &[Temp], ""),
        ("CREATE LOCAL TEMPORARY TABLE t AS SELECT 1", &[Temp], ""),
        ("SELECT * INTO TEMP t FROM u", &[Temp], ""),
        ("WITH a AS (SELECT 1) SELECT * INTO LOCAL TEMPORARY t FROM a", &[Temp], ""),
        ("CREATE TABLE t (temp int, temporary int)", &[], ""),
        ("INSERT INTO temp VALUES (1)", &[], ""),
        ("SELECT temp FROM weather", &[], ""),
        ("CREATE TABLE pg_temp.t (a int)", &[Temp], ""),
        ("SELECT * FROM \"pg_temp_3\".t", &[Temp], ""),
        ("CREATE OR REPLACE TEMP VIEW v AS SELECT 1", &[Temp, Schema], ""),
        ("DROP TABLE t", &[Drop], ""),
        ("SELECT pg_advisory_lock(1)", &[Lock], ""),
        ("SELECT PG_TRY_ADVISORY_LOCK_SHARED(1)", &[Lock], ""),
        ("SELECT pg_advisory_xact_lock(1)", &[], ""),
        ("SELECT pg_advisory_unlock_all()", &[Unlock], ""),
        ("DECLARE c SCROLL CURSOR WITH HOLD FOR SELECT 1", &[HoldCursor], ""),
        ("DECLARE c CURSOR WITHOUT HOLD FOR SELECT 1", &[], ""),
        ("DECLARE c CURSOR FOR SELECT 1", &[], ""),
        ("CLOSE c", &[CloseCursor], ""),
        ("SELECT setseed(0.5)", &[Seed], ""),
        ("LOAD 'auto_explain'", &[Load], ""),
        ("SELECT nextval('a'), currval('b')", &[NextVal, CurrVal], ""),
        ("SELECT lastval()", &[CurrVal], ""),
        ("SELECT pg_create_logical_replication_slot('a', 'b', true)", &[Slot], ""),
        ("DO $$ $$", &[Opaque, Commits], ""),
        ("DO $$BEGIN PERFORM set_config('a', 'b', false); END$$", &[Opaque, Commits], ""),
        ("DO $a$BEGIN PERFORM set_config(b, 'b', false); END$a$", &[Opaque, Commits, NameComputed], ""),
        (
            "DO 'BEGIN PERFORM set_config(''a.'' || b, '''', false); END'",
            &[Opaque, Commits, NameComputed],
            "",
        ),
        ("DO LANGUAGE plpgsql $$BEGIN EXECUTE 'SET a.' || b; END$$", &[Opaque, Commits, NameComputed], ""),
        ("DO $$BEGIN EXECUTE 'SET LOCAL a.' || b; END$$", &[Opaque, Commits], ""),
        ("CALL p()", &[Opaque, Commits], ""),
        ("SELECT 'a\\', set_config(', b, false)--'", &[SettingUnknown, NameComputed, Opaque], ""),
        ("SELECT U&\"set\\005fconfig\"('a', 'b', false)", &[Opaque], ""),
        ("SELECT * FROM pg_prepared_statements", &[PreparedView], ""),
        ("CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'", &[Schema], ""),
        ("ALTER PROCEDURE p() RENAME TO q", &[Schema], ""),
        ("CREATE CONSTRAINT TRIGGER a AFTER INSERT ON t EXECUTE FUNCTION f()", &[Schema], ""),
        ("DROP AGGREGATE a (int)", &[Drop, Schema], ""),
        ("CREATE EXTENSION IF NOT EXISTS postgis", &[Schema, Opaque], ""),
        ("BEGIN; SET x = 1; COMMIT", &[Setting, Commits], "x"),
    ];
}
