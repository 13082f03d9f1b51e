-- What functions, views and tables of this database do when they are used. Everything is qualified, since users may
-- have functions and operators of the same names. Nothing here waits for a lock on a user's table or view.
-- Objects of PostgreSQL itself have OIDs below 16384; nobody records what depends on them, so that is looked for in
-- stored expressions.
WITH
builtin AS MATERIALIZED (
    SELECT p.oid, p.proname
    FROM pg_catalog.pg_proc p
    WHERE p.pronamespace OPERATOR(pg_catalog.=) 'pg_catalog'::pg_catalog.regnamespace
      AND p.proname OPERATOR(pg_catalog.=) ANY (ARRAY[
        'set_config', 'current_setting', 'setseed', 'nextval', 'setval', 'currval', 'lastval', 'pg_notify',
        'pg_advisory_lock', 'pg_advisory_lock_shared', 'pg_try_advisory_lock', 'pg_try_advisory_lock_shared',
        'pg_advisory_unlock', 'pg_advisory_unlock_shared', 'pg_advisory_unlock_all',
        'pg_create_logical_replication_slot', 'pg_create_physical_replication_slot',
        'query_to_xml', 'query_to_xmlschema', 'query_to_xml_and_xmlschema'
      ]::pg_catalog.name[])
),
stored AS MATERIALIZED (
    SELECT name, tree
    FROM (
        SELECT c.relname AS name, r.ev_action::pg_catalog.text AS tree
        FROM pg_catalog.pg_rewrite r
        JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) r.ev_class
        WHERE r.oid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid
        UNION ALL
        SELECT c.relname, pg_catalog.concat(p.polqual, p.polwithcheck)
        FROM pg_catalog.pg_policy p
        JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) p.polrelid
        UNION ALL
        -- PostgreSQL 13 has no such column, so it is not named.
        SELECT p.proname, pg_catalog.jsonb_extract_path_text(pg_catalog.to_jsonb(p), 'prosqlbody')
        FROM pg_catalog.pg_proc p
        WHERE p.oid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid
          AND p.prosrc OPERATOR(pg_catalog.=) ''
    ) expression
    WHERE tree OPERATOR(pg_catalog.~) (
        SELECT pg_catalog.concat(':funcid (', pg_catalog.string_agg(b.oid::pg_catalog.text, '|'), ') ')
        FROM builtin b
    )
),
owned AS (
    SELECT 'uses' AS kind, 'pg_catalog.pg_rewrite'::pg_catalog.regclass AS class, oid, ev_class AS relation
    FROM pg_catalog.pg_rewrite
    UNION ALL
    SELECT 'uses', 'pg_catalog.pg_policy'::pg_catalog.regclass, oid, polrelid FROM pg_catalog.pg_policy
    UNION ALL
    SELECT 'fires', 'pg_catalog.pg_attrdef'::pg_catalog.regclass, oid, adrelid FROM pg_catalog.pg_attrdef
    UNION ALL
    SELECT 'fires', 'pg_catalog.pg_constraint'::pg_catalog.regclass, oid, conrelid FROM pg_catalog.pg_constraint
    UNION ALL
    SELECT 'fires', 'pg_catalog.pg_trigger'::pg_catalog.regclass, oid, tgrelid FROM pg_catalog.pg_trigger
)
-- Functions. Those in C are left out, or an extension such as PostGIS would be a hint as a whole; those in other
-- languages that call themselves immutable are believed.
SELECT
    CASE
        WHEN pg_catalog.octet_length(p.prosrc) OPERATOR(pg_catalog.>) 65536 THEN 'opaque'
        WHEN l.lanname OPERATOR(pg_catalog.=) ANY ('{sql,plpgsql,internal}'::pg_catalog.name[])
            THEN l.lanname::pg_catalog.text
        ELSE 'opaque'
    END AS kind,
    p.proname::pg_catalog.text AS name,
    CASE
        WHEN pg_catalog.octet_length(p.prosrc) OPERATOR(pg_catalog.>) 65536 THEN ''
        WHEN l.lanname OPERATOR(pg_catalog.=) ANY ('{sql,plpgsql,internal}'::pg_catalog.name[]) THEN p.prosrc
        ELSE ''
    END AS body
FROM pg_catalog.pg_proc p
JOIN pg_catalog.pg_language l ON l.oid OPERATOR(pg_catalog.=) p.prolang
WHERE p.oid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid
  AND l.lanname OPERATOR(pg_catalog.<>) 'c'
  AND (
    p.provolatile OPERATOR(pg_catalog.<>) 'i'
    OR l.lanname OPERATOR(pg_catalog.=) ANY ('{sql,plpgsql,internal}'::pg_catalog.name[])
  )
UNION ALL
-- What their arguments are called, if one may be the name of a setting.
SELECT 'arguments', p.proname::pg_catalog.text, pg_catalog.array_to_string(p.proargnames, ',')
FROM pg_catalog.pg_proc p
WHERE p.oid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid
  AND p.proargnames IS NOT NULL
  AND pg_catalog.strpos(pg_catalog.lower(p.prosrc), 'set_config') OPERATOR(pg_catalog.>) 0
UNION ALL
-- What PostgreSQL's own functions do in views, rules, policies and functions with a body of statements.
SELECT 'sql', s.name::pg_catalog.text, pg_catalog.concat(b.proname, '()')
FROM stored s
JOIN builtin b ON pg_catalog.strpos(s.tree, pg_catalog.concat(':funcid ', b.oid, ' ')) OPERATOR(pg_catalog.>) 0
UNION ALL
-- The bytes of constants beside current_setting: one of them is a setting's name.
SELECT DISTINCT 'constant', '', constant.bytes[1]
FROM stored s
JOIN builtin b
    ON b.proname OPERATOR(pg_catalog.=) 'current_setting'
    AND pg_catalog.strpos(s.tree, pg_catalog.concat(':funcid ', b.oid, ' ')) OPERATOR(pg_catalog.>) 0,
pg_catalog.regexp_matches(s.tree, ':constvalue [0-9]+ [[] ([0-9 ]+) []]', 'g') constant(bytes)
UNION ALL
-- Users' functions in views, rules, policies, defaults, constraints and triggers.
SELECT DISTINCT o.kind, c.relname::pg_catalog.text, p.proname::pg_catalog.text
FROM pg_catalog.pg_depend d
JOIN owned o ON o.class OPERATOR(pg_catalog.=) d.classid AND o.oid OPERATOR(pg_catalog.=) d.objid
JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) o.relation
JOIN pg_catalog.pg_proc p ON p.oid OPERATOR(pg_catalog.=) d.refobjid
WHERE d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_proc'::pg_catalog.regclass
  AND p.oid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid
UNION ALL
-- Relations in views and rules.
SELECT DISTINCT 'uses', c.relname::pg_catalog.text, used.relname::pg_catalog.text
FROM pg_catalog.pg_depend d
JOIN pg_catalog.pg_rewrite r ON r.oid OPERATOR(pg_catalog.=) d.objid
JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) r.ev_class
JOIN pg_catalog.pg_class used ON used.oid OPERATOR(pg_catalog.=) d.refobjid
WHERE d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_rewrite'::pg_catalog.regclass
  AND d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass
  AND r.oid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid
  AND used.oid OPERATOR(pg_catalog.<>) c.oid
UNION ALL
-- Functions and relations in functions with a body of statements.
SELECT DISTINCT 'uses', p.proname::pg_catalog.text, COALESCE(called.proname, used.relname)::pg_catalog.text
FROM pg_catalog.pg_depend d
JOIN pg_catalog.pg_proc p ON p.oid OPERATOR(pg_catalog.=) d.objid
LEFT JOIN pg_catalog.pg_proc called
    ON called.oid OPERATOR(pg_catalog.=) d.refobjid
    AND d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_proc'::pg_catalog.regclass
LEFT JOIN pg_catalog.pg_class used
    ON used.oid OPERATOR(pg_catalog.=) d.refobjid
    AND d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass
WHERE d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_proc'::pg_catalog.regclass
  AND (called.oid IS NOT NULL OR used.oid IS NOT NULL)
UNION ALL
-- Partitions, and tables that a foreign key makes change.
SELECT 'uses', c.relname::pg_catalog.text, child.relname::pg_catalog.text
FROM (
    SELECT inhparent AS parent, inhrelid AS child FROM pg_catalog.pg_inherits
    UNION ALL
    SELECT confrelid, conrelid
    FROM pg_catalog.pg_constraint
    WHERE contype OPERATOR(pg_catalog.=) 'f'
) follows
JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) follows.parent
JOIN pg_catalog.pg_class child ON child.oid OPERATOR(pg_catalog.=) follows.child
WHERE c.relkind OPERATOR(pg_catalog.=) ANY ('{r,p}'::pg_catalog."char"[])
UNION ALL
SELECT 'event', e.evtname::pg_catalog.text, p.proname::pg_catalog.text
FROM pg_catalog.pg_event_trigger e
JOIN pg_catalog.pg_proc p ON p.oid OPERATOR(pg_catalog.=) e.evtfoid
UNION ALL
-- Functions that act for somebody else, who may do what their caller may not.
SELECT 'definer', p.proname::pg_catalog.text, ''
FROM pg_catalog.pg_proc p
WHERE p.oid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid
  AND (p.prosecdef OR pg_catalog.array_to_string(p.proconfig, ',') OPERATOR(pg_catalog.~) '(^|,)role=')
UNION ALL
-- Custom settings, which pg_settings does not show.
SELECT DISTINCT 'setting', pg_catalog.split_part(entry, '=', 1), ''
FROM (
    SELECT pg_catalog.unnest(s.setconfig) AS entry
    FROM pg_catalog.pg_db_role_setting s
    LEFT JOIN pg_catalog.pg_database d ON d.oid OPERATOR(pg_catalog.=) s.setdatabase
    WHERE COALESCE(d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database(), true)
    UNION ALL
    SELECT pg_catalog.unnest(proconfig) FROM pg_catalog.pg_proc
) entries
WHERE pg_catalog.split_part(entry, '=', 1) OPERATOR(pg_catalog.~~) '%.%'
