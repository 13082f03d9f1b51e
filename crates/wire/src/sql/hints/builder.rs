//! From the rows of [`Hints::query`] to [`Hints`].

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::body::{self, Language};
use super::computed::Arguments;
use super::names::Names;
use super::{Entry, Hints};
use crate::sql::signs::{Sign, Signs};

/// Collects the rows of [`Hints::query`]. What it keeps is bounded: beyond that the hints say that everything is
/// opaque.
#[derive(Clone, Debug, Default)]
pub struct HintsBuilder {
    bodies: Vec<Body>,
    links: Vec<Link>,
    /// By function.
    arguments: BTreeMap<Box<[u8]>, Arguments>,
    custom: BTreeSet<Box<str>>,
    /// Those that act for somebody else.
    definers: BTreeSet<Box<[u8]>>,
    bytes: usize,
    overflown: bool,
}

/// A function, or a piece of it.
#[derive(Clone, Debug)]
struct Body {
    language: Language,
    name: Box<[u8]>,
    text: Box<[u8]>,
}

/// That one name makes another take effect.
#[derive(Clone, Debug)]
struct Link {
    kind: LinkKind,
    name: Box<[u8]>,
    used: Box<[u8]>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LinkKind {
    /// Whenever it is used.
    Uses,
    /// When it is written to.
    Fires,
    /// It is an event trigger.
    Event,
}

impl HintsBuilder {
    /// Takes one row.
    pub fn row(&mut self, kind: &[u8], name: &[u8], body: &[u8]) {
        self.bytes += ROW_BYTES + name.len() + body.len();
        if self.bytes > MAX_BYTES {
            self.overflown = true;
            return;
        }
        match kind {
            b"uses" => self.link(LinkKind::Uses, name, body),
            b"fires" => self.link(LinkKind::Fires, name, body),
            b"event" => self.link(LinkKind::Event, name, body),
            b"setting" => self.custom.extend(body::custom_name(name)),
            b"constant" => self.custom.extend(body::custom_constant(body)),
            b"arguments" => {
                let names = body.split(|byte| *byte == b',').map(Box::from);
                self.arguments.entry(name.into()).or_default().extend(names);
            }
            b"definer" => drop(self.definers.insert(name.into())),
            b"sql" => self.body(Language::Sql, name, body),
            b"plpgsql" => self.body(Language::Plpgsql, name, body),
            b"internal" => self.body(Language::Internal, name, body),
            _ => self.body(Language::Opaque, name, body),
        }
    }

    /// So much there is to read that whoever has something else to do should leave it to another thread.
    #[must_use]
    pub fn is_long(&self) -> bool {
        self.bytes > LONG
    }

    /// What they say together.
    #[must_use]
    pub fn build(mut self) -> Hints {
        if self.overflown {
            return Hints { everything: true, ..Hints::default() };
        }
        for body in &self.bodies {
            if matches!(body.language, Language::Sql | Language::Plpgsql) {
                body::custom_settings(&body.text, |name| {
                    self.custom.insert(name);
                });
            }
        }
        let mut graph = Graph::new(self.names());
        let none = Arguments::new();
        for body in &self.bodies {
            graph.body(body, self.arguments.get(&body.name).unwrap_or(&none));
        }
        for link in &self.links {
            graph.link(link);
        }
        graph.spread();
        if graph.distrust(&self.definers) {
            graph.spread();
        }
        graph.into_hints(self.custom)
    }

    fn link(&mut self, kind: LinkKind, name: &[u8], used: &[u8]) {
        self.links.push(Link { kind, name: name.into(), used: used.into() });
    }

    fn body(&mut self, language: Language, name: &[u8], text: &[u8]) {
        self.bodies.push(Body { language, name: name.into(), text: text.into() });
    }

    fn names(&self) -> Names {
        let of_bodies = self.bodies.iter().map(|body| &body.name);
        let of_links = self.links.iter().flat_map(|link| [&link.name, &link.used]);
        let names: BTreeSet<_> = of_bodies.chain(of_links).collect();
        Names::new(names.into_iter().cloned().collect())
    }
}

/// Who passes on what it does to whom. Each name has two nodes: its use, and that it is written to.
struct Graph {
    names: Names,
    nodes: Vec<Node>,
}

#[derive(Default)]
struct Node {
    signs: Signs,
    passes_to: BTreeSet<usize>,
}

impl Graph {
    fn new(names: Names) -> Graph {
        let nodes = std::iter::repeat_with(Node::default).take(2 * names.len() + 1).collect();
        Graph { names, nodes }
    }

    fn body(&mut self, body: &Body, arguments: &Arguments) {
        let Some(index) = self.names.index(&body.name) else { return };
        let mut used = BTreeMap::<usize, bool>::new();
        let signs = body::signs(body.language, &body.text, arguments, |piece, writes| {
            if let Some(index) = self.names.find(piece) {
                *used.entry(index).or_default() |= writes;
            }
        });
        if let Some(node) = self.nodes.get_mut(uses(index)) {
            node.signs.merge(&signs);
        }
        for (other, writes) in used {
            self.pass(uses(other), uses(index));
            if writes {
                self.pass(fires(other), uses(index));
            }
        }
    }

    fn link(&mut self, link: &Link) {
        let (Some(name), Some(used)) = (self.names.index(&link.name), self.names.index(&link.used)) else {
            return;
        };
        match link.kind {
            LinkKind::Uses => {
                self.pass(uses(used), uses(name));
                self.pass(fires(used), fires(name));
            }
            LinkKind::Fires => self.pass(uses(used), fires(name)),
            LinkKind::Event => self.pass(uses(used), self.nodes.len() - 1),
        }
    }

    fn pass(&mut self, from: usize, to: usize) {
        if let Some(node) = self.nodes.get_mut(from).filter(|_| from != to) {
            node.passes_to.insert(to);
        }
    }

    /// Passes on until nothing changes. It ends, since signs are only added and there are so many of them.
    fn spread(&mut self) {
        let mut changed: VecDeque<usize> = (0..self.nodes.len())
            .filter(|index| self.nodes.get(*index).is_some_and(|node| node.signs.any()))
            .collect();
        while let Some(from) = changed.pop_front() {
            let Some((signs, targets)) = self
                .nodes
                .get_mut(from)
                .map(|node| (node.signs.clone(), std::mem::take(&mut node.passes_to)))
            else {
                continue;
            };
            for to in &targets {
                if let Some(node) = self.nodes.get_mut(*to)
                    && node.signs.merge_changes(&signs)
                {
                    changed.push_back(*to);
                }
            }
            if let Some(node) = self.nodes.get_mut(from) {
                node.passes_to = targets;
            }
        }
    }

    /// What is set in somebody else's name may be a setting that the caller could not make; to find out, all that are
    /// set have to be asked for. Custom ones need no right. Returns whether there are any.
    fn distrust(&mut self, definers: &BTreeSet<Box<[u8]>>) -> bool {
        let mut any = false;
        for index in definers.iter().filter_map(|name| self.names.index(name)) {
            let Some(Node { signs, .. }) = self.nodes.get_mut(uses(index)) else { continue };
            if signs.has(Sign::Setting) && signs.names().iter().any(|name| !name.contains('.')) {
                signs.add(Sign::SettingUnknown);
                any = true;
            }
        }
        any
    }

    fn into_hints(self, mut custom: BTreeSet<Box<str>>) -> Hints {
        let mut names = Vec::new();
        let mut entries = Vec::new();
        let mut nodes = self.nodes.into_iter().map(|node| node.signs);
        for name in self.names.into_sorted() {
            let (uses, fires) = (nodes.next().unwrap_or_default(), nodes.next().unwrap_or_default());
            if uses.any() || fires.any() {
                let set = uses.names().iter().chain(fires.names());
                custom.extend(set.filter_map(|name| body::custom_name(name.as_bytes())));
                names.push(name);
                entries.push(Entry { uses, fires });
            }
        }
        if entries.len() > MAX_NAMES {
            return Hints { everything: true, ..Hints::default() };
        }
        let ddl = nodes.next().unwrap_or_default();
        let custom = custom.into_iter().take(MAX_CUSTOM).collect();
        Hints { names: Names::new(names), entries, ddl, custom, everything: false }
    }
}

fn uses(index: usize) -> usize {
    2 * index
}

fn fires(index: usize) -> usize {
    2 * index + 1
}

/// What the rows may take in all.
const MAX_BYTES: usize = 64 << 20;
/// Takes about a millisecond to read.
const LONG: usize = 256 << 10;
const ROW_BYTES: usize = 128;

/// So many names are told apart.
const MAX_NAMES: usize = 10_000;

/// So many custom settings are asked for.
const MAX_CUSTOM: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    /// The hints of rows written `kind name: body`.
    fn hints(rows: &[&str]) -> Hints {
        let mut builder = HintsBuilder::default();
        for row in rows {
            let (head, body) = row.split_once(": ").expect("a colon");
            let (kind, name) = head.split_once(' ').expect("a blank");
            builder.row(kind.as_bytes(), name.as_bytes(), body.as_bytes());
        }
        builder.build()
    }

    #[track_caller]
    fn assert_signs(hints: &Hints, text: &str, signs: &[Sign], names: &str) {
        let mut expected = Signs::default();
        signs.iter().for_each(|sign| expected.add(*sign));
        for name in names.split_whitespace() {
            expected.add_name(name);
            if signs.contains(&Sign::Reset) {
                expected.add_setting(Sign::Reset, name);
            }
        }
        assert_eq!(Signs::of(text.as_bytes(), hints), expected, "{text}");
    }

    #[test]
    fn a_call_does_what_the_body_does() {
        for (row, signs, names) in [
            ("sql f: SELECT 1", &[][..], ""),
            ("sql f: SELECT set_config('a', $1, false)", &[Sign::Setting], "a"),
            ("sql f: SELECT set_config(n, $1, false)", &[Sign::SettingUnknown], ""),
            ("sql f: SET a.b = 1; SELECT 1", &[Sign::Setting], "a.b"),
            ("plpgsql f: BEGIN SET a = 1; END", &[Sign::Setting], "a"),
            ("plpgsql f: BEGIN UPDATE t SET a = 1; RETURN NEW; END", &[], ""),
            (
                "plpgsql f: DECLARE x int; BEGIN IF x > 1 THEN RESET a; ELSE SET LOCAL b = 1; END IF; END",
                &[Sign::Reset, Sign::SettingLocal],
                "a",
            ),
            ("plpgsql f: BEGIN FOR i IN 1..2 LOOP LISTEN a; END LOOP; END", &[Sign::Listen], ""),
            ("plpgsql f: BEGIN <<here>> LISTEN a; END", &[Sign::Listen], ""),
            (
                "plpgsql f: BEGIN PERFORM pg_advisory_lock(1); CREATE TEMP TABLE t (a int); END",
                &[Sign::Lock, Sign::Temp],
                "",
            ),
            ("plpgsql f: BEGIN RETURN QUERY EXECUTE 'SELECT 1'; END", &[Sign::Opaque], ""),
            ("plpgsql f: BEGIN EXECUTE format('SET my.x = %L', y); END", &[Sign::Opaque], "my.x"),
            ("plpgsql f: BEGIN PERFORM 'it''s' || 'x\\'; END", &[Sign::Opaque], ""),
            ("internal f: pg_advisory_lock_int8", &[Sign::Lock], ""),
            ("internal f: textcat", &[], ""),
            ("opaque f: ", &[Sign::Opaque], ""),
            ("something f: SELECT 1", &[Sign::Opaque], ""),
        ] {
            let hints = hints(&[row, "arguments f: n,m"]);
            assert_signs(&hints, "SELECT s.F()", signs, names);
            assert_signs(&hints, "SELECT \"f\" (1)", signs, names);
            for text in ["SELECT g()", "SELECT \"F\"()", "SELECT 'f'", "SELECT ff()"] {
                assert_signs(&hints, text, &[], "");
            }
        }
    }

    #[test]
    fn a_name_that_is_put_together_is_told_from_one_that_is_handed_over() {
        for (row, computed) in [
            ("sql f: SELECT set_config(n, $1, false)", false),
            ("sql f: SELECT set_config(N::text, $1, false)", false),
            ("sql f: SELECT set_config($1, $2, false)", false),
            ("sql f: SELECT set_config('app.x', $2, false)", false),
            ("sql f: SELECT set_config('app.' || n, $2, false)", true),
            ("sql f: SELECT set_config('app.' || n, $2, true)", false),
            ("sql f: SELECT pg_catalog.\"set_config\"(format('app.%s', n), $2, false)", true),
            ("sql f: SELECT set_config(name, value, false) FROM t", true),
            ("plpgsql f: BEGIN PERFORM set_config(t.n, '', false); END", true),
            ("plpgsql f: BEGIN n := 'app.' || n; PERFORM set_config(n, '', false); END", true),
            ("plpgsql f: BEGIN SELECT x INTO n FROM t; PERFORM set_config(n, '', false); END", true),
            (
                "plpgsql f: BEGIN FOR n IN SELECT x FROM t LOOP PERFORM set_config(n, '', false); END LOOP; END",
                true,
            ),
            ("plpgsql f: BEGIN m := n; PERFORM set_config(n, m, false); END", false),
            ("plpgsql f: BEGIN EXECUTE 'SET app.' || n || ' = 1'; END", true),
            ("plpgsql f: BEGIN EXECUTE format('SET SESSION app.%I = %L', n, m); END", true),
            ("plpgsql f: BEGIN EXECUTE format($q$SET %I.%I TO %L$q$, n, m, 'x.y'); END", true),
            ("plpgsql f: BEGIN EXECUTE format('SET LOCAL app.%I = %L', n, m); END", false),
            ("plpgsql f: BEGIN EXECUTE format('SET %I = %L', n, m); END", false),
            ("plpgsql f: BEGIN EXECUTE format('SET app.x = %L', 'a.b'); END", false),
            ("plpgsql f: BEGIN EXECUTE 'SELECT app.' || n; END", false),
            ("plpgsql f: BEGIN PERFORM 'SET app.' || n; END", false),
        ] {
            let hints = hints(&[row, "arguments f: n,m", "arguments f: value"]);
            let signs = Signs::of(b"SELECT f()", &hints);
            assert_eq!(signs.has(Sign::NameComputed), computed, "{row}");
        }
        // Nothing is known of what stands where.
        let signs = Signs::of(b"SELECT f()", &hints(&["sql f: set_config()"]));
        assert!(signs.has(Sign::SettingUnknown) && !signs.has(Sign::NameComputed));
    }

    #[test]
    fn what_is_set_for_somebody_else_is_looked_for_among_all() {
        let hints = hints(&[
            "sql f: SELECT set_config('a', '1', false)",
            "sql g: SELECT f()",
            "sql h: SELECT set_config('a', '1', false)",
            "sql i: SELECT set_config('app.a', '1', false)",
            "definer f: ",
            "definer i: ",
            "definer unknown: ",
        ]);
        for text in ["SELECT f()", "SELECT g()"] {
            assert_signs(&hints, text, &[Sign::Setting, Sign::SettingUnknown], "a app.a");
        }
        assert_signs(&hints, "SELECT h()", &[Sign::Setting], "a");
        assert_signs(&hints, "SELECT i()", &[Sign::Setting], "app.a");
    }

    #[test]
    fn what_is_called_is_followed() {
        let hints = hints(&[
            "sql a: SELECT b()",
            "plpgsql b: BEGIN PERFORM 1; PERFORM \"C\"(a()); END",
            "sql C: SELECT setseed(1)",
            "sql d: SELECT nothing()",
            "uses v: a",
            "uses w: v",
        ]);
        for name in ["a", "b", "\"C\"", "v", "w"] {
            assert_signs(&hints, &format!("SELECT * FROM {name}"), &[Sign::Seed], "");
        }
        assert_signs(&hints, "SELECT c(), d()", &[], "");
    }

    #[test]
    fn triggers_fire_when_their_table_is_written_to() {
        let hints = hints(&[
            "plpgsql audit: BEGIN SET a = 1; RETURN NEW; END",
            "fires t: audit",
            "uses parent: t",
            "plpgsql writes: BEGIN IF true THEN INSERT INTO t VALUES (1); END IF; END",
            "plpgsql reads: BEGIN PERFORM 1; RETURN QUERY SELECT * FROM t; END",
        ]);
        for text in [
            "INSERT INTO t VALUES (1)",
            "WITH x AS (DELETE FROM s.t RETURNING a) SELECT 1",
            "COPY t FROM STDIN",
            "TRUNCATE \"t\"",
            "UPDATE parent SET a = 2",
            "SELECT writes()",
        ] {
            assert_signs(&hints, text, &[Sign::Setting], "a");
        }
        for text in ["SELECT * FROM t", "SELECT reads()", "UPDATE u SET a = 1; SELECT * FROM t"] {
            assert_signs(&hints, text, &[], "");
        }
    }

    #[test]
    fn an_event_trigger_follows_ddl() {
        let hints = hints(&["plpgsql note: BEGIN SET a = 1; END", "event e: note"]);
        assert_signs(&hints, "CREATE TABLE t (a int)", &[Sign::Setting], "a");
        assert_signs(&hints, "SELECT 1", &[], "");
    }

    #[test]
    fn custom_settings_are_asked_about_where_anything_may_have_been_set() {
        let hints = hints(&[
            "sql f: SELECT current_setting('App.user'), 'other.one'",
            "sql g: SET c.d = 1",
            "setting role.x: ",
            "constant : 28 0 0 0 65 46 98",
            "constant : 28 0 0 0 65 98",
            "constant : 28 0 x",
            "setting none: ",
        ]);
        assert_signs(
            &hints,
            "SELECT set_config($1, $2, false)",
            &[Sign::SettingUnknown],
            "a.b app.user c.d role.x",
        );
        assert_signs(&hints, "SELECT f()", &[], "");
    }

    #[test]
    fn too_much_is_opaque() {
        let mut builder = HintsBuilder::default();
        for number in 0..=MAX_NAMES {
            builder.row(b"opaque", format!("f{number}").as_bytes(), b"");
        }
        let mut less = builder.clone();
        less.bodies.pop();
        assert_signs(&builder.build(), "SELECT 1", &[Sign::Opaque], "");
        let less = less.build();
        assert_signs(&less, "SELECT f1()", &[Sign::Opaque], "");
        assert_signs(&less, "SELECT 1", &[], "");

        let mut builder = HintsBuilder::default();
        builder.row(b"sql", b"f", &vec![b' '; MAX_BYTES]);
        assert_signs(&builder.build(), "SELECT 1", &[Sign::Opaque], "");
    }

    #[test]
    fn long_names_are_cut_as_postgresql_cuts_them() {
        let kept = "x".repeat(63);
        let hints = hints(&[&format!("opaque {kept}: ")]);
        for text in [
            format!("SELECT {kept}yz()"),
            format!("SELECT \"{kept}yz\"()"),
            format!("SELECT {}()", kept.to_uppercase()),
        ] {
            assert_signs(&hints, &text, &[Sign::Opaque], "");
        }
        assert_signs(&hints, &format!("SELECT {}()", "x".repeat(62)), &[], "");
    }
}
