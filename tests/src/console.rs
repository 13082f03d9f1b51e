//! What the console shows, by column name.

use crate::howdah::Howdah;
use crate::postgres::Database;
use crate::raw::client::RawClient;

/// A row of a SHOW.
#[derive(Clone, Debug)]
pub struct Row(Vec<(String, String)>);

impl Row {
    /// A column; NULL is empty.
    ///
    /// # Panics
    /// There is no such column.
    #[must_use]
    #[track_caller]
    pub fn get(&self, column: &str) -> &str {
        let found = self.0.iter().find(|(name, _)| name == column);
        found.map(|(_, value)| value.as_str()).unwrap_or_else(|| panic!("no column {column} in {self:?}"))
    }

    /// A column that is a number.
    ///
    /// # Panics
    /// There is no such column, or it is none.
    #[must_use]
    #[track_caller]
    pub fn number(&self, column: &str) -> u64 {
        self.get(column).parse().unwrap_or_else(|_| panic!("{column} is no number in {self:?}"))
    }
}

impl Howdah {
    /// The rows of `SHOW <what>`.
    ///
    /// # Panics
    /// The console refuses.
    #[must_use]
    #[track_caller]
    pub fn show(&self, what: &str) -> Vec<Row> {
        let mut console = RawClient::unix(&self.socket_path());
        console.login("pgbouncer", "postgres");
        let answer = console.query(&format!("SHOW {what}"));
        let columns = answer.iter().find(|m| m.tag == b'T').unwrap_or_else(|| panic!("no rows: {answer:?}"));
        let names = columns.column_names();
        let rows = answer.iter().filter(|m| m.tag == b'D');
        let values = rows.map(|row| row.columns().into_iter().map(Option::unwrap_or_default));
        values.map(|values| Row(names.iter().cloned().zip(values).collect())).collect()
    }

    /// The one row of `SHOW <what>` whose `column` is `value`.
    ///
    /// # Panics
    /// The console refuses, or there is not exactly one.
    #[must_use]
    #[track_caller]
    pub fn shown(&self, what: &str, column: &str, value: &str) -> Row {
        let mut rows = self.show(what);
        rows.retain(|row| row.get(column) == value);
        assert_eq!(rows.len(), 1, "rows of {what} with {column} = {value}: {rows:?}");
        rows.remove(0)
    }

    /// The row of SHOW POOLS for user `postgres` on `database`, once there is one.
    #[must_use]
    #[track_caller]
    pub fn pool(&self, database: &Database) -> Option<Row> {
        let mut pools = self.show("POOLS").into_iter();
        pools.find(|pool| pool.get("database") == database.name() && pool.get("user") == "postgres")
    }
}
