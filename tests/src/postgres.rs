//! One PostgreSQL for all tests of a test program, and a database in it for each test.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use howdah_embedded::Cluster;

use crate::raw::client::RawClient;

/// The test program's PostgreSQL, started by the first test that asks.
///
/// Everybody is trusted, except members of the roles `auth_scram`, `auth_md5` and `auth_plain`: grant one of them to
/// a role, and that role needs its password (superusers never do).
///
/// # Panics
/// PostgreSQL is not installed or does not start.
pub fn postgres() -> &'static Cluster {
    static SHARED: OnceLock<Cluster> = OnceLock::new();
    SHARED.get_or_init(|| {
        let mut builder = Cluster::builder().setting("max_connections", 300);
        for (role, method) in
            [("auth_scram", "scram-sha-256"), ("auth_md5", "md5"), ("auth_plain", "password")]
        {
            builder = builder.hba(&format!("local all +{role} {method}"));
            builder = builder.hba(&format!("host all +{role} 127.0.0.1/32 {method}"));
        }
        let cluster = builder.start().unwrap_or_else(|error| panic!("{error}"));
        let roles = "create role auth_scram; create role auth_md5; create role auth_plain";
        cluster.psql(roles).unwrap_or_else(|error| panic!("{error}"));
        cluster
    })
}

/// A test's own database in [`postgres`]; dropped with its connections when the test ends.
#[derive(Debug)]
pub struct Database {
    name: String,
}

impl Database {
    /// Creates an empty database.
    ///
    /// # Panics
    /// PostgreSQL refuses.
    #[must_use]
    pub fn create() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let name = format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        postgres().psql(&format!("create database {name}")).unwrap_or_else(|error| panic!("{error}"));
        Self { name }
    }

    /// Its name in PostgreSQL.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs `sql` as the superuser on a direct connection.
    ///
    /// # Panics
    /// A statement failed.
    #[track_caller]
    pub fn psql(&self, sql: &str) -> String {
        postgres().psql_in(&self.name, sql).unwrap_or_else(|error| panic!("{error}"))
    }

    /// A direct connection as the superuser.
    ///
    /// # Panics
    /// PostgreSQL refuses.
    #[must_use]
    #[track_caller]
    pub fn direct(&self) -> RawClient {
        let mut client = RawClient::unix(&postgres().socket_path());
        client.login(&self.name, "postgres");
        client
    }

    /// How many connections it has.
    ///
    /// # Panics
    /// PostgreSQL refuses.
    #[track_caller]
    #[must_use]
    pub fn backends(&self) -> usize {
        let ask = "select count(*) from pg_stat_activity where backend_type = 'client backend' and datname =";
        let count = postgres().psql(&format!("{ask} '{}'", self.name));
        count.unwrap_or_else(|error| panic!("{error}")).parse().expect("a count is a number")
    }

    /// A direct connection string for the superuser.
    #[must_use]
    pub fn conninfo(&self) -> String {
        postgres().conninfo_for(&self.name, "postgres")
    }

    /// As [`Self::conninfo`], over TCP.
    #[must_use]
    pub fn tcp_conninfo(&self) -> String {
        format!(
            "host=127.0.0.1 port={} dbname={} user=postgres sslmode=disable",
            postgres().port(),
            self.name
        )
    }

    /// The value of a line in `[databases]`: where Howdah finds this database.
    #[must_use]
    pub fn server(&self) -> String {
        let cluster = postgres();
        format!("host={} port={} dbname={}", cluster.socket_dir().display(), cluster.port(), self.name)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // The server goes with the test program; a database that will not go is no reason to fail.
        let _ = postgres().psql(&format!("drop database {} with (force)", self.name));
    }
}
