-- One look at the session: what a client could find of its own or of somebody else's. One row, one column of JSON.
select pg_catalog.json_build_object(
  'search_path', current_setting('search_path'),
  'timezone', current_setting('TimeZone'),
  'statement_timeout', current_setting('statement_timeout'),
  'application_name', current_setting('application_name'),
  -- Once it was set, PostgreSQL remembers the name of a custom parameter for as long as a server connection lives.
  'tenant', coalesce(current_setting('app.tenant', true), ''),
  'role', current_user,
  'locks', (select count(*) from pg_catalog.pg_locks where locktype = 'advisory' and pid = pg_backend_pid()),
  'temporary', (select count(*) from pg_catalog.pg_class
                where relnamespace = pg_my_temp_schema() and relkind = 'r'),
  'cursors', (select count(*) from pg_catalog.pg_cursors where is_holdable),
  'backend', pg_backend_pid()
)::text as look
