"""psycopg 3 as applications use it. Argument: a connection string. Ends with 1 and a message at any mismatch.

It keeps no session state between transactions, so it must work in every pool mode but statement.
"""

import sys
import threading

import psycopg
from psycopg import sql

from expect import equal, sqlstate

ROWS = 5000


def queries(conn):
    equal("simple query", conn.execute("select 1 as n, 'ä'::text, null").fetchall(), [(1, "ä", None)])
    equal("parameters", conn.execute("select %s::int + %s::int", (2, 3)).fetchone(), (5,))
    many = conn.execute("select 1; select 2")
    equal("several statements, first", many.fetchone(), (1,))
    many.nextset()
    equal("several statements, second", many.fetchone(), (2,))
    large = conn.execute("select repeat('x', 3000000)").fetchone()[0]
    equal("a large value", (len(large), set(large)), (3000000, {"x"}))
    cursor = conn.execute("select n, n::text from generate_series(1, %s) n", (ROWS,), binary=True)
    equal("many rows", cursor.fetchall(), [(n, str(n)) for n in range(1, ROWS + 1)])


def prepared(conn):
    for n in range(20):
        with conn.transaction():
            equal("prepared", conn.execute("select %s::int * 2", (n,), prepare=True).fetchone(), (n * 2,))
        equal("prepared by itself", conn.execute("select %s::int * 3", (n,)).fetchone(), (n * 3,))


def pipeline(conn):
    with conn.pipeline() as pipe:
        cursors = [conn.execute("select %s::int", (n,)) for n in range(50)]
        pipe.sync()
        equal("pipeline", [cursor.fetchone() for cursor in cursors], [(n,) for n in range(50)])
    try:
        with conn.pipeline():
            conn.execute("select 1")
            conn.execute("select 1/0")
            conn.execute("select 2")
    except psycopg.errors.DivisionByZero as error:
        sqlstate("an error in a pipeline", error, "22012")
    else:
        sys.exit("an error in a pipeline went unnoticed")
    equal("after an error in a pipeline", conn.execute("select 3").fetchone(), (3,))


def copy(conn, table):
    with conn.transaction():
        with conn.cursor() as cursor, cursor.copy(sql.SQL("copy {} from stdin").format(table)) as into:
            for n in range(ROWS):
                into.write_row((n, f"row {n}\t\\"))
    with conn.cursor() as cursor:
        with cursor.copy(sql.SQL("copy (select * from {} order by n) to stdout").format(table)) as out:
            out.set_types(["int4", "text"])
            equal("copy", list(out.rows()), [(n, f"row {n}\t\\") for n in range(ROWS)])
    try:
        with conn.cursor() as cursor, cursor.copy(sql.SQL("copy {} from stdin").format(table)) as into:
            into.write("no number\tx\n")
    except psycopg.errors.InvalidTextRepresentation as error:
        sqlstate("a bad row", error, "22P02")
    else:
        sys.exit("a bad row in COPY went unnoticed")
    try:
        with conn.cursor() as cursor, cursor.copy(sql.SQL("copy {} from stdin").format(table)) as into:
            into.write_row((1, "never seen"))
            raise KeyError("the program's own")
    except KeyError:
        pass
    count = conn.execute(sql.SQL("select count(*) from {}").format(table)).fetchone()
    equal("rows after two failed COPYs", count, (ROWS,))


def server_cursor(conn, table):
    with conn.transaction(), conn.cursor(name="walk") as cursor:
        cursor.itersize = 700
        cursor.execute(sql.SQL("select n from {} order by n").format(table))
        equal("server-side cursor", [n for (n,) in cursor], list(range(ROWS)))


def transactions(conn, table):
    insert = sql.SQL("insert into {} values (-1, 'x')").format(table)
    count = sql.SQL("select count(*) from {} where n = -1").format(table)
    try:
        with conn.transaction():
            conn.execute(insert)
            conn.execute("select no_such_column")
    except psycopg.errors.UndefinedColumn as error:
        sqlstate("an error in a transaction", error, "42703")
    equal("rolled back", conn.execute(count).fetchone(), (0,))
    with conn.transaction():
        conn.execute(insert)
        try:
            with conn.transaction():
                conn.execute(insert)
                conn.execute("select 1/0")
        except psycopg.errors.DivisionByZero:
            pass
        equal("after the savepoint", conn.execute(count).fetchone(), (1,))
    equal("committed", conn.execute(count).fetchone(), (1,))
    conn.execute("begin")
    try:
        conn.execute("select 1/0")
    except psycopg.errors.DivisionByZero:
        pass
    try:
        conn.execute("select 1")
    except psycopg.errors.InFailedSqlTransaction as error:
        sqlstate("a query in a failed transaction", error, "25P02")
    conn.execute("rollback")


def cancel(conn, conninfo):
    # Seen from a second connection, so that the cancel cannot come before the query.
    mark = f"cancel me {threading.get_ident()}"

    def cancel_once_it_runs():
        with psycopg.connect(conninfo, autocommit=True) as watcher:
            running = "select count(*) from pg_stat_activity where query like %s and wait_event = 'PgSleep' and pid <> pg_backend_pid()"
            while watcher.execute(running, (f"%{mark}",)).fetchone() == (0,):
                pass
        conn.cancel_safe()

    helper = threading.Thread(target=cancel_once_it_runs)
    helper.start()
    try:
        conn.execute(f"select pg_sleep(60) -- {mark}")
    except psycopg.errors.QueryCanceled as error:
        sqlstate("a cancelled query", error, "57014")
    else:
        sys.exit("the query was not cancelled")
    helper.join()
    equal("after the cancel", conn.execute("select 4").fetchone(), (4,))


def crowd(conninfo):
    # More connections than a pool has: each must get its own answers, prepared under the same names.
    def one(me, failures):
        try:
            with psycopg.connect(conninfo, autocommit=True) as conn:
                for n in range(40):
                    with conn.transaction():
                        conn.execute("select set_config('howdah.me', %s, true)", (str(me),), prepare=True)
                        mine = conn.execute(f"select current_setting('howdah.me'), %s::int, {me}", (n,), prepare=True)
                        equal("in a crowd", mine.fetchone(), (str(me), n, me))
        except (psycopg.Error, SystemExit) as error:
            failures.append(f"{me}: {error}")

    failures = []
    threads = [threading.Thread(target=one, args=(me, failures)) for me in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    equal("failures in a crowd", failures, [])


def main(conninfo):
    name = sql.Identifier("psycopg_check")
    with psycopg.connect(conninfo, autocommit=True) as conn:
        conn.execute(sql.SQL("drop table if exists {}").format(name))
        conn.execute(sql.SQL("create table {} (n int, t text)").format(name))
        queries(conn)
        prepared(conn)
        pipeline(conn)
        copy(conn, name)
        server_cursor(conn, name)
        transactions(conn, name)
        cancel(conn, conninfo)
        crowd(conninfo)
        conn.execute(sql.SQL("drop table {}").format(name))


if __name__ == "__main__":
    main(sys.argv[1])
