"""asyncpg with all the session state it can have. Argument: a connection string. Ends with 1 at any mismatch."""

import asyncio
import sys

import asyncpg

from session_state import LOOK, PATIENCE, Unrest, Watch, equal, first_look, report, strangers_see_nothing
from asyncpg_check import arguments


class Session(Watch):
    """A watch over a connection of asyncpg."""

    def __init__(self, name, text, conn, unrest):
        super().__init__(name, text)
        self.conn = conn
        self.unrest = unrest

    @classmethod
    async def opened(cls, name, conninfo, unrest, **settings):
        server_settings = {"application_name": f"app {name}"} | settings
        conn = await asyncpg.connect(**arguments(conninfo), server_settings=server_settings)
        return cls(name, await conn.fetchval(LOOK), conn, unrest)

    async def check(self, when):
        self.unrest.stir()
        self.saw(when, await self.conn.fetchval(LOOK))


async def settings(conninfo, unrest):
    start = {"search_path": "tenant_a", "statement_timeout": "30s", "app.tenant": "start"}
    a = await Session.opened("a", conninfo, unrest, **start)
    b = await Session.opened("b", conninfo, unrest)
    c = await Session.opened("c", conninfo, unrest)
    equal("start values", (a.expected["search_path"], a.expected["tenant"]), ("tenant_a", "start"))

    async def everybody(when):
        for session in (a, b, c, b, a):
            await session.check(when)

    await b.conn.execute("set search_path to tenant_b; set role tenant_b; set app.tenant = 'b'")
    await b.conn.fetchval("select set_config('TimeZone', $1, false)", "Asia/Kathmandu")
    b.changed(search_path="tenant_b", role="tenant_b", tenant="b", timezone="Asia/Kathmandu")
    await everybody("after settings")
    equal("reported", b.conn.get_settings().TimeZone, "Asia/Kathmandu")
    for session, name in ((a, "a"), (b, "b"), (c, "nobody")):
        for _ in range(3):
            unrest.stir()
            # The same text, so the same name of a prepared statement, and other tables.
            equal("by search_path", await session.conn.fetchval("select name from who where $1", True), name)
    async with a.conn.transaction(isolation="repeatable_read"):
        await a.conn.execute("set statement_timeout = '7s'; set local application_name = 'only now'")
    a.changed(statement_timeout="7s")
    await everybody("after a commit")
    try:
        async with b.conn.transaction():
            await b.conn.execute("reset role; set statement_timeout = '3s'")
            await b.conn.fetchval("select 1 / $1::int", 0)
    except asyncpg.DivisionByZeroError:
        pass
    await everybody("after a failed transaction")
    async with c.conn.transaction():
        await c.conn.execute("set application_name = 'kept'")
        inner = c.conn.transaction()
        await inner.start()
        await c.conn.execute("set application_name = 'dropped'; set role tenant_a")
        await inner.rollback()
    c.changed(application_name="kept")
    await everybody("after a savepoint")
    # What asyncpg's pool does when a connection comes back to it: all is as it was when it connected.
    await a.conn.execute("set search_path to public; create temporary table t (n int); listen news")
    await a.conn.fetchval("select pg_advisory_lock(1)")
    await a.conn.reset()
    a.changed(statement_timeout="30s")
    await a.conn.execute("drop table t")
    await everybody("after a reset")
    for session in (a, b, c):
        await session.conn.close()


async def types(conninfo, unrest):
    # To learn an unknown type asyncpg asks the catalogue, and for that turns `jit` off and on again.
    a = await Session.opened("a", conninfo, unrest)
    b = await Session.opened("b", conninfo, unrest)
    await a.conn.execute("set jit = on")
    await b.conn.execute("set jit = off")
    for session, jit in ((a, "on"), (b, "off"), (a, "on"), (b, "off")):
        await session.check("with types")
        mood = await session.conn.fetchval("select $1::public.mood[]", ["low", "high"])
        equal("an array of an enum", mood, ["low", "high"])
        unrest.stir()
        equal("jit", await session.conn.fetchval("select current_setting('jit')"), jit)
    for session in (a, b):
        await session.conn.close()


async def prepared(conninfo, unrest):
    a = await Session.opened("a", conninfo, unrest)
    b = await Session.opened("b", conninfo, unrest)
    mine = [await session.conn.prepare(f"select $1::int, '{session.name}'") for session in (a, b)]
    for n in range(10):
        for session, statement in zip((a, b), mine):
            await session.check("with a statement")
            equal("prepared", tuple(await statement.fetchrow(n)), (n, session.name))
            text = f"select {n % 4} + $1::int, '{session.name}'"
            equal("cached", tuple(await session.conn.fetchrow(text, n)), (n % 4 + n, session.name))
    # A table that changes below a statement: asyncpg prepares it anew.
    await a.conn.execute("create table public.changing as select 1 as n")
    for conn in (a.conn, b.conn):
        equal("before", tuple(await conn.fetchrow("select * from changing")), (1,))
    await a.conn.execute("alter table changing add m text default 'm'")
    for conn in (a.conn, b.conn):
        unrest.stir()
        equal("after", tuple(await conn.fetchrow("select * from changing")), (1, "m"))
    await a.conn.execute("drop table changing")
    for session in (a, b):
        await session.conn.close()


async def pinned(conninfo, unrest):
    a = await Session.opened("a", conninfo, unrest)
    b = await Session.opened("b", conninfo, unrest)
    await a.conn.execute("create temporary table mine (n int)")
    await a.conn.copy_records_to_table("mine", records=[(n,) for n in range(100)])
    a.changed(temporary=1)
    for session in (a, b, a, b):
        await session.check("with a temporary table")
    equal("rows", await a.conn.fetchval("select count(*) from mine"), 100)
    await a.conn.execute("drop table mine; select pg_advisory_lock(4711)")
    a.changed(temporary=0, locks=1)
    for session in (a, b, a, b):
        await session.check("with a lock")
    equal("locked", await b.conn.fetchval("select pg_try_advisory_lock(4711)"), False)
    equal("unlock", await a.conn.fetchval("select pg_advisory_unlock(4711)"), True)
    a.changed(locks=0)
    equal("free", await b.conn.fetchval("select pg_try_advisory_lock(4711) and pg_advisory_unlock(4711)"), True)
    await a.check("after the lock")
    for session in (a, b):
        await session.conn.close()


async def notifications(conninfo, unrest):
    a = await Session.opened("a", conninfo, unrest)
    b = await Session.opened("b", conninfo, unrest)
    heard = asyncio.Queue()

    def told(_, pid, channel, payload):
        heard.put_nowait((channel, payload, pid))

    await a.conn.add_listener("news", told)
    for n in range(5):
        await b.check("before it tells")
        await b.conn.execute("select pg_notify('news', $1)", str(n))
        expected = ("news", str(n), b.conn.get_server_pid())
        equal("heard", await asyncio.wait_for(heard.get(), PATIENCE), expected)
        await a.check("while it listens")
    await a.conn.remove_listener("news", told)
    await a.conn.add_listener("late", told)
    await b.conn.execute("notify news; notify late")
    equal("after UNLISTEN", (await asyncio.wait_for(heard.get(), PATIENCE))[0], "late")
    await a.conn.remove_listener("late", told)
    for session in (a, b):
        await session.conn.close()


async def crowd(conninfo):
    # Two pools of an application with two tenants: what is set once holds, what is set for a while is reset.
    async def pool_of(name):
        async def once(conn):
            await conn.set_type_codec("json", encoder=str, decoder=str, schema="pg_catalog")

        server_settings = {"search_path": f"tenant_{name}", "app.tenant": name}
        words = arguments(conninfo) | {"server_settings": server_settings}
        return await asyncpg.create_pool(**words, min_size=6, max_size=6, init=once)

    async def one(pool, name, n):
        async with pool.acquire(timeout=PATIENCE) as conn:
            look = "select current_setting('app.tenant'), current_setting('lock_timeout'), name from who where $1"
            equal("in a crowd", tuple(await conn.fetchrow(look, True)), (name, "0", name))
            await conn.execute(f"set app.tenant = 'for a while'; set lock_timeout = {n + 1}")
            equal("for a while", tuple(await conn.fetchrow(look, True)), ("for a while", f"{n + 1}ms", name))

    pools = {name: await pool_of(name) for name in "ab"}
    work = (one(pool, name, n) for n in range(60) for name, pool in pools.items())
    await asyncio.gather(*work)
    for pool in pools.values():
        await pool.close()


async def main(conninfo):
    before = first_look(conninfo)
    unrest = Unrest(conninfo)
    for part in (settings, types, prepared, pinned, notifications):
        await part(conninfo, unrest)
    unrest.stop()
    await crowd(conninfo)
    strangers_see_nothing(conninfo, before)
    report()


if __name__ == "__main__":
    asyncio.run(asyncio.wait_for(main(sys.argv[1]), 120))
