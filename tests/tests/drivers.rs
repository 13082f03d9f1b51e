//! The clients people really use, unchanged, through a transaction pool that is smaller than their number, over TCP
//! and over the Unix socket.

use howdah_tests::{Database, Howdah, run_driver, run_program};

#[test]
fn psycopg_works() {
    for_each_door(|conninfo| {
        run_driver("psycopg_check.py", conninfo);
    });
}

#[test]
fn asyncpg_works() {
    for_each_door(|conninfo| {
        run_driver("asyncpg_check.py", conninfo);
    });
}

#[test]
fn node_postgres_works() {
    for_each_door(|conninfo| {
        run_driver("node_check.js", conninfo);
    });
}

#[test]
fn psql_works() {
    for_each_door(|conninfo| {
        let dir = tempfile::tempdir_in("/tmp").unwrap();
        let [rows, copied, script] = ["rows", "copied", "script"].map(|name| dir.path().join(name));
        std::fs::write(&rows, "1\tone\n2\t\\N\n").unwrap();
        std::fs::write(&script, PSQL_SCRIPT).unwrap();
        let copy_in = format!("\\copy t from '{}'", rows.display());
        let copy_out = format!("\\copy t to '{}'", copied.display());
        let steps = [
            "create table t (n int, t text)",
            &copy_in,
            "begin",
            "insert into t values (3, 'drei')",
            "savepoint s",
            "insert into t values (4, 'vier')",
            "rollback to s",
            "commit",
            &copy_out,
            "\\d t",
        ];
        let mut arguments = vec!["-XqAt", "-v", "ON_ERROR_STOP=1", "-d", conninfo];
        for step in steps {
            arguments.extend(["-c", step]);
        }
        arguments.extend(["-f", script.to_str().unwrap()]);
        let said = run_program("psql", &arguments).unwrap();
        for expected in ["3|one", "n|integer\nt|text", "number 1", "1\n2\n", "t|text|"] {
            assert!(said.contains(expected), "{expected}: {said}");
        }
        assert_eq!(std::fs::read_to_string(&copied).unwrap(), "1\tone\n2\t\\N\n3\tdrei\n");
    });
}

#[test]
fn pgbench_with_simple_queries_keeps_the_books() {
    tpc_b("simple");
}

#[test]
fn pgbench_with_extended_queries_keeps_the_books() {
    tpc_b("extended");
}

#[test]
fn pgbench_with_prepared_statements_runs_without_an_error() {
    let database = Database::create();
    let howdah = pooled(&database, 10);
    let conninfo = howdah.unix_conninfo(database.name(), "postgres");
    run_program("pgbench", &["-i", "-q", &conninfo]).unwrap();
    let said =
        run_program("pgbench", &["-n", "-S", "-M", "prepared", "-c", "50", "-j", "2", "-T", "3", &conninfo]);
    without_failures(&said.unwrap());
    assert!(database.backends() <= 10);
}

/// Fifty clients move money through ten server connections; afterwards every sum is right.
fn tpc_b(protocol: &str) {
    let database = Database::create();
    let howdah = pooled(&database, 10);
    let conninfo = howdah.conninfo(database.name(), "postgres");
    run_program("pgbench", &["-i", "-q", "-s", "2", &conninfo]).unwrap();
    let said = run_program("pgbench", &["-n", "-M", protocol, "-c", "50", "-j", "2", "-T", "3", &conninfo]);
    let said = said.unwrap();
    without_failures(&said);
    assert!(database.backends() <= 10);
    let sums = database.psql(
        "select (select sum(bbalance) from pgbench_branches), (select sum(tbalance) from pgbench_tellers), \
         (select sum(abalance) from pgbench_accounts), (select sum(delta) from pgbench_history), \
         (select count(*) from pgbench_history)",
    );
    let sums: Vec<_> = sums.split('|').collect();
    assert!(sums[1..4].iter().all(|sum| *sum == sums[0]), "{sums:?}");
    assert!(said.contains(&format!("transactions actually processed: {}\n", sums[4])), "{sums:?} {said}");
}

fn without_failures(said: &str) {
    assert!(said.contains("number of failed transactions: 0 "), "{said}");
    assert!(!said.contains("error") && !said.contains("aborted"), "{said}");
}

fn for_each_door(work: impl Fn(&str)) {
    let database = Database::create();
    let howdah = pooled(&database, 4);
    work(&howdah.conninfo(database.name(), "postgres"));
    database.psql("drop table if exists t");
    work(&howdah.unix_conninfo(database.name(), "postgres"));
    assert!(database.backends() <= 4);
}

fn pooled(database: &Database, size: u32) -> Howdah {
    Howdah::before(
        database,
        &[("pool_mode", "transaction"), ("default_pool_size", &size.to_string()), ("max_client_conn", "500")],
    )
}

const PSQL_SCRIPT: &str = r"
select count(*), max(t) from t;
select n, t from t \gdesc
select n as number from t where t = 'one' \gset
\echo number :number
select 1 \; select 2;
do $$ begin raise notice 'noticed'; end $$;
";
