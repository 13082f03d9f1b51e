"""asyncpg as applications use it. Argument: a connection string. Ends with 1 and a message at any mismatch.

It keeps no session state between transactions but asyncpg's own named statements.
"""

import asyncio
import io
import sys

import asyncpg
from psycopg.conninfo import conninfo_to_dict

from expect import equal, sqlstate

ROWS = 5000


def arguments(conninfo):
    """libpq's words for asyncpg's."""
    known = conninfo_to_dict(conninfo)
    words = {"host": "host", "port": "port", "user": "user", "password": "password", "dbname": "database"}
    found = {ours: known[libpq] for libpq, ours in words.items() if libpq in known}
    return found | {"port": int(known["port"]), "ssl": False}


async def queries(conn):
    equal("simple query", await conn.execute("select 1; select 2"), "SELECT 1")
    equal("parameters", await conn.fetchval("select $1::int + $2::int", 2, 3), 5)
    for n in range(20):
        equal("cached statement", await conn.fetchval("select $1::int * 2", n), n * 2)
    statement = await conn.prepare("select $1::text || '!'")
    async with conn.transaction():
        equal("prepared", await statement.fetchval("ä"), "ä!")
    await conn.executemany("insert into asyncpg_check values ($1, $2)", [(n, str(n)) for n in range(ROWS)])
    rows = await conn.fetch("select n, t from asyncpg_check order by n")
    equal("many rows", [tuple(row) for row in rows], [(n, str(n)) for n in range(ROWS)])


async def copy(conn):
    out = io.BytesIO()
    equal("copy out", await conn.copy_from_query("select n, t from asyncpg_check order by n", output=out), f"COPY {ROWS}")
    out.seek(0)
    await conn.execute("truncate asyncpg_check")
    equal("copy in", await conn.copy_to_table("asyncpg_check", source=out), f"COPY {ROWS}")
    records = [(n, None) for n in range(ROWS)]
    equal("binary copy", await conn.copy_records_to_table("asyncpg_check", records=records), f"COPY {ROWS}")
    equal("rows copied", await conn.fetchval("select count(*) from asyncpg_check"), 2 * ROWS)


async def cursor(conn):
    async with conn.transaction():
        walk = conn.cursor("select n from asyncpg_check where t is null order by n", prefetch=700)
        equal("cursor", [row["n"] async for row in walk], list(range(ROWS)))


async def errors(conn):
    try:
        async with conn.transaction():
            await conn.execute("insert into asyncpg_check values (-1)")
            await conn.fetchval("select 1 / $1::int", 0)
    except asyncpg.DivisionByZeroError as error:
        sqlstate("an error in a transaction", error, "22012")
    else:
        sys.exit("an error in a transaction went unnoticed")
    equal("rolled back", await conn.fetchval("select count(*) from asyncpg_check where n = -1"), 0)


async def cancel(conn, conninfo):
    # asyncpg sends a CancelRequest when a task that waits for a query is cancelled.
    watcher = await asyncpg.connect(**arguments(conninfo))
    sleep = asyncio.ensure_future(conn.fetchval("select pg_sleep(60) -- asyncpg"))
    # Not by its state: that is active from Parse on, when there is nothing to cancel yet.
    running = "select count(*) from pg_stat_activity where query = 'select pg_sleep(60) -- asyncpg' and wait_event = 'PgSleep'"
    while await watcher.fetchval(running) == 0:
        pass
    sleep.cancel()
    try:
        await sleep
    except asyncio.CancelledError:
        pass
    while await watcher.fetchval(running) != 0:
        pass
    await watcher.close()
    equal("after the cancel", await conn.fetchval("select 4"), 4)


async def crowd(conninfo):
    # More connections than a pool has, by asyncpg's own pool, which resets each connection after use.
    async with asyncpg.create_pool(**arguments(conninfo), min_size=12, max_size=12) as pool:

        async def one(me):
            for n in range(25):
                async with pool.acquire() as conn, conn.transaction():
                    equal("in a crowd", await conn.fetchval(f"select $1::int + {me % 5}", n), n + me % 5)
                    equal("the same again", await conn.fetchval("select $1::text", str(me)), str(me))

        await asyncio.gather(*(one(me) for me in range(24)))


async def main(conninfo):
    conn = await asyncpg.connect(**arguments(conninfo))
    await conn.execute("drop table if exists asyncpg_check; create table asyncpg_check (n int, t text)")
    await queries(conn)
    await copy(conn)
    await cursor(conn)
    await errors(conn)
    await cancel(conn, conninfo)
    await crowd(conninfo)
    await conn.execute("drop table asyncpg_check")
    await conn.close()


if __name__ == "__main__":
    asyncio.run(asyncio.wait_for(main(sys.argv[1]), 120))
