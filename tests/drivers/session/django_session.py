"""Django with persistent connections. Argument: a connection string. Ends with 1 at any mismatch.

Databases of one project that differ in everything Django sets up: options, time zone, role, isolation, prepared
statements, server-side binding; used by several threads, each of which keeps a connection to each.
"""

import sys
import threading

import django
from django.conf import settings
from psycopg.conninfo import conninfo_to_dict

from session_state import Session, Unrest, equal, first_look, report, strangers_see_nothing


def databases(conninfo):
    known = conninfo_to_dict(conninfo)
    common = {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": known["host"],
        "PORT": known["port"],
        "NAME": known["dbname"],
        "USER": known["user"],
        "CONN_MAX_AGE": None,
        "CONN_HEALTH_CHECKS": True,
    }
    a = {"options": "-c search_path=tenant_a -c app.tenant=a", "application_name": "app a"}
    # Server-side binding prepares by itself once this is set; without it psycopg binds in the client.
    b = {"options": "-c search_path=tenant_b", "server_side_binding": True, "prepare_threshold": 1}
    return {
        "default": common | {"OPTIONS": {}},
        "a": common | {"OPTIONS": a, "TIME_ZONE": "Asia/Kathmandu"},
        "b": common | {"OPTIONS": b | {"assume_role": "tenant_b"}, "TIME_ZONE": "Pacific/Marquesas"},
    }


def configure(conninfo):
    settings.configure(DATABASES=databases(conninfo), USE_TZ=True, TIME_ZONE="Europe/Berlin", INSTALLED_APPS=[])
    django.setup()


def watched(alias, unrest):
    from django.db import connections

    def ask(query):
        with connections[alias].cursor() as cursor:
            cursor.execute(query)
            return cursor.fetchone()[0]

    return Session(alias, ask, unrest)


def set_ups(watches):
    expected = {
        "default": {"timezone": "UTC", "search_path": '"$user", public', "role": "postgres", "tenant": ""},
        "a": {"timezone": "Asia/Kathmandu", "search_path": "tenant_a", "tenant": "a", "application_name": "app a"},
        "b": {"timezone": "Pacific/Marquesas", "search_path": "tenant_b", "role": "tenant_b", "tenant": ""},
    }
    for alias, watch in watches.items():
        equal(f"set up of {alias}", watch.expected, watch.expected | expected[alias])
    for alias in ("default", "a", "b", "a", "default", "b"):
        watches[alias].check("after its set-up")


def transactions(watches):
    from django.db import DatabaseError, connections, transaction

    for alias, watch in watches.items():
        with connections[alias].cursor() as cursor:
            cursor.execute("set statement_timeout = '9s'")
            watch.changed(statement_timeout="9s")
            try:
                with transaction.atomic(using=alias):
                    cursor.execute("set app.tenant = 'gone'")
                    cursor.execute("select 1 / 0")
            except DatabaseError:
                pass
            watch.check("after an error")
            with transaction.atomic(using=alias):
                cursor.execute("set local app.tenant = 'gone'")
                try:
                    with transaction.atomic(using=alias):
                        cursor.execute("set lock_timeout = '1s'")
                        raise KeyError("the program's own")
                except KeyError:
                    pass
                cursor.execute("select current_setting('lock_timeout')")
                equal("after a savepoint", cursor.fetchone(), ("0",))
    for watch in [*watches.values(), *watches.values()]:
        watch.check("after transactions")


def objects(item, watches, unrest):
    for alias in watches:
        item.objects.using(alias).bulk_create(item(number=n, text=f"{alias} {n}") for n in range(300))
    for n in range(30):
        for alias in watches:
            unrest.stir()
            equal("loaded", item.objects.using(alias).get(number=n).text, f"{alias} {n}")
    # Outside a transaction these are cursors WITH HOLD.
    walks = {alias: item.objects.using(alias).order_by("number").iterator(chunk_size=50) for alias in watches}
    for n in range(300):
        for alias, walk in walks.items():
            equal("walked", next(walk).text, f"{alias} {n}")
        if n % 40 == 0:
            unrest.stir()
    for walk in walks.values():
        equal("the end", next(walk, None), None)
    for watch in watches.values():
        watch.check("after iterators")


def pinned(watches):
    from django.db import connections

    with connections["a"].cursor() as cursor:
        # As tools for migrations take it.
        cursor.execute("select pg_advisory_lock(4711)")
        cursor.execute("create temporary table scratch (n int)")
        watches["a"].changed(locks=1, temporary=1)
        for alias in ("b", "a", "default", "a"):
            watches[alias].check("with a lock")
        with connections["b"].cursor() as other:
            other.execute("select pg_try_advisory_lock(4711)")
            equal("locked", other.fetchone(), (False,))
        cursor.execute("insert into scratch values (%s)", (1,))
        cursor.execute("drop table scratch")
        cursor.execute("select pg_advisory_unlock(4711)")
        equal("unlock", cursor.fetchone(), (True,))
        watches["a"].changed(locks=0, temporary=0)
    for alias in ("a", "b", "a"):
        watches[alias].check("after a lock")


def crowd(item):
    from django.db import connections, transaction

    def one(me, failures):
        try:
            expected = {}
            for n in range(15):
                for alias in ("a", "b", "default"):
                    with transaction.atomic(using=alias):
                        mine = item.objects.using(alias).select_for_update().get(number=me * 20 + n)
                        equal("in a crowd", mine.text, f"{alias} {me * 20 + n}")
                        with connections[alias].cursor() as cursor:
                            cursor.execute("select current_setting('timezone'), current_user")
                            equal("set up", cursor.fetchone(), expected.setdefault(alias, settings_of[alias]))
        except (Exception, SystemExit) as error:
            failures.append(str(error))
        finally:
            connections.close_all()

    settings_of = {
        "default": ("UTC", "postgres"),
        "a": ("Asia/Kathmandu", "postgres"),
        "b": ("Pacific/Marquesas", "tenant_b"),
    }
    failures = []
    threads = [threading.Thread(target=one, args=(me, failures)) for me in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    equal("failures in a crowd", failures, [])


def main(conninfo):
    configure(conninfo)
    from django.db import connections, models

    class Item(models.Model):
        """Unqualified, so that the search_path tells whose it is."""

        number = models.IntegerField()
        text = models.TextField()

        class Meta:
            app_label = "session"

    before = first_look(conninfo)
    unrest = Unrest(conninfo)
    watches = {alias: watched(alias, unrest) for alias in ("default", "a", "b")}
    set_ups(watches)
    for alias in watches:
        with connections[alias].schema_editor() as editor:
            editor.create_model(Item)
    transactions(watches)
    objects(Item, watches, unrest)
    pinned(watches)
    crowd(Item)
    connections.close_all()
    unrest.stop()
    strangers_see_nothing(conninfo, before)
    report()


if __name__ == "__main__":
    main(sys.argv[1])
