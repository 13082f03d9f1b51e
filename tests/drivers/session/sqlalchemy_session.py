"""SQLAlchemy, with psycopg and with asyncpg. Argument: a connection string. Ends with 1 at any mismatch.

An application of two tenants: an engine each, whose events set up every connection of its pool.
"""

import asyncio
import sys

import sqlalchemy as sa
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import event, orm
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from session_state import PATIENCE, Session, Unrest, equal, first_look, report, strangers_see_nothing

TENANTS = {"a": "Asia/Kathmandu", "b": "Pacific/Marquesas"}
POOL = 4


class Base(orm.DeclarativeBase):
    pass


class Item(Base):
    """Unqualified, so that the search_path tells whose it is."""

    __tablename__ = "item"
    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    text: orm.Mapped[str]


def url(conninfo, driver):
    known = conninfo_to_dict(conninfo)
    return sa.URL.create(
        f"postgresql+{driver}", known["user"], host=known["host"], port=int(known["port"]), database=known["dbname"]
    )


def set_up_by_events(engine, tenant):
    @event.listens_for(engine, "connect")
    def connected(connection, _):
        cursor = connection.cursor()
        cursor.execute(f"SET search_path TO tenant_{tenant}, public")
        cursor.execute(f"SET SESSION TIME ZONE '{TENANTS[tenant]}'")
        cursor.execute(f"SET app.tenant = '{tenant}'")
        connection.commit()
        cursor.close()

    @event.listens_for(engine, "checkout")
    def lent(connection, *_):
        cursor = connection.cursor()
        cursor.execute("SET statement_timeout = '30s'")
        connection.commit()
        cursor.close()


def engine_of(tenant, conninfo, **words):
    connect = {"application_name": f"app {tenant}", "options": "-c lock_timeout=9s"}
    engine = sa.create_engine(url(conninfo, "psycopg"), pool_size=POOL, connect_args=connect, **words)
    set_up_by_events(engine, tenant)
    return engine


def belongs_to(tenant, look):
    expected = {
        "search_path": f"tenant_{tenant}, public",
        "timezone": TENANTS[tenant],
        "tenant": tenant,
        "statement_timeout": "30s",
        "application_name": f"app {tenant}",
    }
    equal(f"set up for {tenant}", look, look | expected)


def watched(conn, tenant, unrest):
    def ask(query):
        with conn.begin():
            return conn.execute(sa.text(query.replace("::", r"\:\:"))).scalar_one()

    session = Session(tenant, ask, unrest)
    belongs_to(tenant, session.expected)
    return session


def core(engines, unrest):
    conns = {tenant: engine.connect() for tenant, engine in engines.items()}
    watches = {tenant: watched(conn, tenant, unrest) for tenant, conn in conns.items()}
    for n in range(8):
        for tenant, conn in conns.items():
            with conn.begin():
                found = conn.execute(sa.text("select name, :n + 1, current_setting('lock_timeout') from who"), {"n": n})
                equal("by search_path", tuple(found.one()), (tenant, n + 1, "9s"))
            watches[tenant].check("between transactions")
    a, b = conns["a"], conns["b"]
    b.execute(sa.text("set statement_timeout = '3s'"))
    b.rollback()
    watches["b"].check("after a rollback")
    try:
        with a.begin():
            a.execute(sa.text("set app.tenant = 'gone'"))
            a.execute(sa.text("select 1 / 0"))
    except sa.exc.DataError:
        pass
    watches["a"].check("after an error")
    a.execute(sa.text("set role tenant_a"))
    a.commit()
    watches["a"].changed(role="tenant_a")
    for tenant in "baab":
        watches[tenant].check("with a role")
    a.execute(sa.text("reset role"))
    a.commit()
    watches["a"].changed(role="postgres")
    temporary = sa.Table("scratch", sa.MetaData(), sa.Column("n", sa.Integer), prefixes=["TEMPORARY"])
    with a.begin():
        temporary.create(a)
        a.execute(temporary.insert(), [{"n": n} for n in range(500)])
    watches["a"].changed(temporary=1)
    for tenant in "baba":
        watches[tenant].check("with a temporary table")
    with a.begin():
        equal("rows", a.execute(sa.select(sa.func.count()).select_from(temporary)).scalar_one(), 500)
        temporary.drop(a)
    watches["a"].changed(temporary=0)
    watches["a"].check("after a temporary table")
    for conn in conns.values():
        conn.close()


def isolation(engines, unrest):
    # By an option of the connection; psycopg says it with each BEGIN, and the pool takes it back.
    show = sa.text("select current_setting('transaction_isolation')")
    with engines["a"].connect() as conn:
        conn.execution_options(isolation_level="SERIALIZABLE")
        for _ in range(3):
            unrest.stir()
            with conn.begin():
                equal("isolation", conn.execute(show).scalar_one(), "serializable")
    for engine in engines.values():
        with engine.connect() as conn:
            equal("isolation of the next", conn.execute(show).scalar_one(), "read committed")
    with engines["b"].connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
        for _ in range(3):
            unrest.stir()
            equal("autocommit", conn.execute(sa.text("select name from who")).scalar_one(), "b")


def objects(engines, unrest):
    for tenant, engine in engines.items():
        Base.metadata.create_all(engine)
        with orm.Session(engine) as session, session.begin():
            session.add_all(Item(id=n, text=f"{tenant} {n}") for n in range(50))
    for n in range(50):
        for tenant, engine in engines.items():
            unrest.stir()
            with orm.Session(engine) as session:
                equal("loaded", session.get(Item, n).text, f"{tenant} {n}")
                session.get(Item, n).text = f"{tenant} {n}!"
                with session.begin_nested() as savepoint:
                    session.execute(sa.text("set local app.tenant = 'inner'"))
                    savepoint.rollback()
                equal("after a savepoint", session.scalar(sa.text("select current_setting('app.tenant')")), tenant)
                session.commit()
    for tenant, engine in engines.items():
        with orm.Session(engine) as session:
            # Server-side cursors of psycopg.
            walk = session.scalars(sa.select(Item.text).order_by(Item.id).execution_options(yield_per=7))
            equal("streamed", list(walk), [f"{tenant} {n}!" for n in range(50)])
        names = sa.inspect(engine).get_table_names(schema=f"tenant_{tenant}")
        equal("inspected", sorted(names), ["item", "who"])
    for engine in engines.values():
        Base.metadata.drop_all(engine)


async def asynchronous(conninfo):
    engines = {}
    for tenant in TENANTS:
        connect = {"server_settings": {"application_name": f"app {tenant}"}, "ssl": False}
        engine = create_async_engine(url(conninfo, "asyncpg"), pool_size=POOL, connect_args=connect, pool_timeout=PATIENCE)
        set_up_by_events(engine.sync_engine, tenant)
        engines[tenant] = engine

    async def one(tenant, n):
        async with AsyncSession(engines[tenant]) as session:
            ask = sa.text(
                "select name, current_setting('app.tenant'), current_setting('timezone'),"
                " current_setting('statement_timeout'), current_setting('application_name'), cast(:n as int) from who"
            )
            expected = (tenant, tenant, TENANTS[tenant], "30s", f"app {tenant}", n)
            equal("asynchronously", tuple((await session.execute(ask, {"n": n})).one()), expected)
            await session.commit()
            await session.execute(sa.text("set local app.tenant = 'gone'"))
            if n % 3 == 0:
                await session.rollback()
            equal("again", tuple((await session.execute(ask, {"n": n})).one())[-1], n)

    await asyncio.gather(*(one(tenant, n) for n in range(40) for tenant in TENANTS))
    for engine in engines.values():
        async with engine.connect() as conn:
            await conn.execution_options(isolation_level="SERIALIZABLE")
            found = await conn.execute(sa.text("select current_setting('transaction_isolation')"))
            equal("isolation", found.scalar_one(), "serializable")
        await engine.dispose()


def main(conninfo):
    before = first_look(conninfo)
    unrest = Unrest(conninfo)
    engines = {tenant: engine_of(tenant, conninfo, pool_pre_ping=True) for tenant in TENANTS}
    for part in (core, isolation, objects):
        part(engines, unrest)
    for engine in engines.values():
        engine.dispose()
    unrest.stop()
    asyncio.run(asyncio.wait_for(asynchronous(conninfo), 60))
    strangers_see_nothing(conninfo, before)
    report()


if __name__ == "__main__":
    main(sys.argv[1])
