//! What does a session see of itself?
//!
//! One query, in a transaction of its own, with every name it uses qualified, since the session's `search_path` is one
//! of the things looked at.

use std::collections::BTreeSet;

use howdah_tests::Message;

use crate::changes::{CUSTOM, SETTINGS};

/// Kind, name and value of everything a session has that another might have left there.
pub(crate) type Sight = BTreeSet<[String; 3]>;

/// The query. All settings that are not as PostgreSQL was built are among its rows, whoever has set them.
pub(crate) fn query() -> String {
    let known = SETTINGS.iter().map(|(name, _)| *name).filter(|name| !CUSTOM.contains(name));
    let known = known.chain(["role", "session_authorization"]);
    let settings = known.map(|name| format!("('{name}', pg_catalog.current_setting('{name}', true))"));
    // That PostgreSQL has heard a custom parameter's name cannot be undone: unknown is the same as empty.
    let custom = CUSTOM
        .iter()
        .map(|name| format!("('{name}', coalesce(pg_catalog.current_setting('{name}', true), ''))"));
    let values: Vec<_> = settings.chain(custom).collect();
    format!(
        "select 'setting', * from (values {}) s
         union all select 'any setting', name, setting from pg_catalog.pg_settings
             where setting is distinct from boot_val
         union all select 'user', current_user::text, session_user::text
         union all select 'statement', name, statement || ' ' || parameter_types::text
             from pg_catalog.pg_prepared_statements where from_sql
         union all select 'channel', pg_catalog.replace(c, '@me', 'own '), ''
             from pg_catalog.pg_listening_channels() c
         union all select 'lock', case classid when @lock then 'own' else classid::text end, objid || mode
             from pg_catalog.pg_locks where locktype = 'advisory' and pid = pg_catalog.pg_backend_pid()
         union all select 'temporary', relname, relkind::text from pg_catalog.pg_class
             where relnamespace = pg_catalog.pg_my_temp_schema()
         union all select 'cursor', name, statement from pg_catalog.pg_cursors where is_holdable",
        values.join(", ")
    )
}

/// The rows of the answer.
pub(crate) fn sight(answer: &[Message]) -> Sight {
    let rows = answer.iter().filter(|message| message.tag == b'D');
    rows.map(|row| {
        let mut columns = row.columns().into_iter().map(|value| value.unwrap_or_else(|| "(null)".into()));
        std::array::from_fn(|_| columns.next().expect("a row has three columns"))
    })
    .collect()
}
