"""psycopg 3 with all the session state it can have. Argument: a connection string. Ends with 1 at any mismatch."""

import datetime
import sys
import threading

import psycopg
from psycopg import errors
from psycopg_pool import ConnectionPool

from session_state import PATIENCE, Session, Unrest, equal, first_look, report, strangers_see_nothing


def opened(name, conninfo, unrest, **words):
    conn = psycopg.connect(conninfo, autocommit=True, application_name=f"app {name}", **words)
    return conn, Session(name, lambda query: conn.execute(query).fetchone()[0], unrest)


def fails(what, error, conn, query):
    try:
        conn.execute(query)
    except error:
        return
    sys.exit(f"{what}: {query} did not fail")


def settings(conninfo, unrest):
    start = "-c search_path=tenant_a -c statement_timeout=30s -c app.tenant=start"
    a, as_a = opened("a", conninfo, unrest, options=start)
    b, as_b = opened("b", conninfo, unrest)
    c, as_c = opened("c", conninfo, unrest)
    equal("start values", (as_a.expected["search_path"], as_a.expected["tenant"]), ("tenant_a", "start"))

    def everybody(when):
        for session in (as_a, as_b, as_c, as_b, as_a):
            session.check(when)

    b.execute("set search_path to tenant_b, public")
    b.execute("set role tenant_b")
    b.execute("select set_config('TimeZone', 'Asia/Kathmandu', false)")
    # The name is in no text: it comes as a parameter.
    b.execute("select set_config(%s, %s, false)", ("app.tenant", "it's b"))
    as_b.changed(search_path="tenant_b, public", role="tenant_b", timezone="Asia/Kathmandu", tenant="it's b")
    everybody("after settings")
    for conn, name in ((a, "a"), (b, "b"), (c, "nobody")):
        unrest.stir()
        equal("by search_path", conn.execute("select name from who").fetchone(), (name,))
    # psycopg reads the time zone that the server reported, and makes times of it.
    unrest.stir()
    equal("reported", b.info.parameter_status("TimeZone"), "Asia/Kathmandu")
    noon = b.execute("select '2020-01-01 12:00Z'::timestamptz").fetchone()[0]
    equal("a time", noon.utcoffset(), datetime.timedelta(hours=5, minutes=45))

    with a.transaction():
        a.execute("set statement_timeout = '7s'")
        a.execute("set local application_name = 'only now'")
    as_a.changed(statement_timeout="7s")
    everybody("after a commit")
    try:
        with b.transaction():
            b.execute("reset role; set statement_timeout = '3s'; set app.tenant = 'gone'")
            b.execute("select 1/0")
    except errors.DivisionByZero:
        pass
    everybody("after a failed transaction")
    with c.transaction():
        c.execute("set application_name = 'kept'")
        with c.transaction(force_rollback=True):
            c.execute("set application_name = 'dropped'; set role tenant_a")
    as_c.changed(application_name="kept")
    everybody("after a savepoint")
    fails("an unknown setting", errors.UndefinedObject, c, "set no_such_setting = 1")
    everybody("after an error")
    a.execute("set search_path to public")
    a.execute("reset search_path; reset statement_timeout")
    as_a.changed(statement_timeout="30s")
    b.execute("reset role; reset all")
    as_b.changed(**as_c.expected | {"application_name": "app b"})
    everybody("after a reset")
    c.execute("set role tenant_a; set app.tenant = 'c'")
    c.execute("discard all")
    as_c.changed(application_name="app c")
    everybody("after DISCARD ALL")
    for conn in (a, b, c):
        conn.close()


def prepared(conninfo, unrest):
    # psycopg names its statements itself, by the same names in every connection, and forgets the oldest.
    conns = []
    for name in "ab":
        conn = psycopg.connect(conninfo, autocommit=True, options=f"-c search_path=tenant_{name}")
        conn.prepare_threshold = 1
        conn.prepared_max = 3
        conns.append((name, conn))
    for n in range(30):
        for name, conn in conns:
            unrest.stir()
            equal("by search_path", conn.execute("select name from who").fetchone(), (name,))
            mine = conn.execute(f"select %s::int, 'of {name} {n % 5}'", (n,)).fetchone()
            equal("own text", mine, (n, f"of {name} {n % 5}"))
    (_, a), (_, b) = conns
    a.execute("prepare mine (int) as select $1 + 1")
    for _ in range(3):
        unrest.stir()
        equal("SQL's PREPARE", a.execute("execute mine (2)").fetchone(), (3,))
        fails("another's statement", errors.InvalidSqlStatementName, b, "execute mine (2)")
    b.execute("prepare mine as select 'b'")
    unrest.stir()
    equal("the same name", (a.execute("execute mine (3)").fetchone(), b.execute("execute mine").fetchone()), ((4,), ("b",)))
    a.execute("deallocate mine")
    unrest.stir()
    fails("a dropped statement", errors.InvalidSqlStatementName, a, "execute mine (2)")
    unrest.stir()
    equal("still there", b.execute("execute mine").fetchone(), ("b",))
    for _, conn in conns:
        conn.close()


def temporary(conninfo, unrest):
    a, as_a = opened("a", conninfo, unrest)
    b, as_b = opened("b", conninfo, unrest)
    a.execute("create temporary table mine (n int)")
    as_a.changed(temporary=1)
    for n in range(4):
        as_a.check("with a temporary table")
        a.execute("insert into mine values (%s)", (n,))
        as_b.check("while another has a temporary table")
        fails("another's temporary table", errors.UndefinedTable, b, "select * from mine")
    equal("rows", a.execute("select count(*) from mine").fetchone(), (4,))
    a.execute("drop table mine")
    as_a.changed(temporary=0)
    with a.transaction():
        a.execute("create temporary table brief on commit drop as select 1 as n")
    as_a.check("after a temporary table")
    as_b.check("after another's temporary table")
    a.close()
    b.close()


def notifications(conninfo, unrest):
    a, _ = opened("a", conninfo, unrest)
    b, _ = opened("b", conninfo, unrest)
    a.execute("listen news")
    for n in range(5):
        unrest.stir()
        b.execute("select pg_notify('news', %s)", (str(n),))
        heard = [(told.channel, told.payload, told.pid) for told in a.notifies(timeout=PATIENCE, stop_after=1)]
        equal("heard", heard, [("news", str(n), b.info.backend_pid)])
        unrest.stir()
        a.execute("select 1")
    with a.transaction():
        a.execute("notify news, 'my own'")
    heard = [told.payload for told in a.notifies(timeout=PATIENCE, stop_after=1)]
    equal("its own", heard, ["my own"])
    with a.transaction(force_rollback=True):
        a.execute("listen never")
    a.execute("unlisten news; listen late")
    b.execute("notify news, 'unheard'; notify never; notify late")
    equal("after UNLISTEN", [told.channel for told in a.notifies(timeout=PATIENCE, stop_after=1)], ["late"])
    a.close()
    b.close()


def locks(conninfo, unrest):
    a, as_a = opened("a", conninfo, unrest)
    b, as_b = opened("b", conninfo, unrest)
    a.execute("select pg_advisory_lock(4711)")
    as_a.changed(locks=1)
    for _ in range(3):
        as_a.check("with a lock")
        equal("locked", b.execute("select pg_try_advisory_lock(4711)").fetchone(), (False,))
        as_b.check("without the lock")
    equal("unlock", a.execute("select pg_advisory_unlock(4711)").fetchone(), (True,))
    as_a.changed(locks=0)
    as_a.check("after the lock")
    equal("free", b.execute("select pg_try_advisory_lock(4711)").fetchone(), (True,))
    b.close()  # With the lock: it ends with the session.
    equal("freed", a.execute("select pg_advisory_lock(4711), pg_advisory_unlock(4711)").fetchone()[1], True)
    a.close()


def held_cursor(conninfo, unrest):
    a, as_a = opened("a", conninfo, unrest)
    b, as_b = opened("b", conninfo, unrest)
    with a.cursor(name="walk", withhold=True) as cursor:
        cursor.execute("select n from generate_series(1, 100) n")
        as_a.changed(cursors=1)
        found = []
        while rows := cursor.fetchmany(30):
            found += [n for (n,) in rows]
            as_a.check("with a cursor")
            as_b.check("while another has a cursor")
        equal("a cursor WITH HOLD", found, list(range(1, 101)))
    as_a.changed(cursors=0)
    as_a.check("after the cursor")
    a.close()
    b.close()


def crowd(conninfo):
    # psycopg's own pool: each connection is given its settings once, and keeps them.
    def configure(conn):
        me = f"tenant {next(names)}"
        conn.execute("select set_config('app.tenant', %s, false)", (me,))
        conn.execute("set search_path to tenant_a")
        conn.commit()
        conn.mine = me

    def one(pool, failures):
        try:
            for n in range(25):
                with pool.connection() as conn:
                    look = "select current_setting('app.tenant'), name, %s::int from who"
                    equal("in a crowd", conn.execute(look, (n,)).fetchone(), (conn.mine, "a", n))
        except (psycopg.Error, SystemExit) as error:
            failures.append(str(error))

    names = iter(range(1000))
    failures = []
    with ConnectionPool(conninfo, min_size=12, max_size=12, configure=configure, timeout=PATIENCE) as pool:
        threads = [threading.Thread(target=one, args=(pool, failures)) for _ in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    equal("failures in a crowd", failures, [])


def main(conninfo):
    before = first_look(conninfo)
    unrest = Unrest(conninfo)
    for part in (settings, prepared, temporary, notifications, locks, held_cursor):
        part(conninfo, unrest)
    unrest.stop()
    crowd(conninfo)
    strangers_see_nothing(conninfo, before)
    report()


if __name__ == "__main__":
    main(sys.argv[1])
