"""Other clients of the same pool, with sessions of their own that they change all the time.

They make no object that a test could see: roles and everything else they use is there anyway. What they do for the
tests is to take the server connections between any two of their transactions and to leave their own state on them, if
the pooler lets them. After each change, in a transaction of its own, each looks whether its session is what it has
made of it, and counts what is not.
"""
import collections
import random
import threading
import time

import protocol
from stage import DATABASE, USER

# Reported to the client and not, some that change plans and output, and one that PostgreSQL has never heard of.
SETTINGS = {
    "search_path": ["busy_schema, pg_catalog", "busy_other", "pg_catalog"],
    "role": ["pg_monitor", "pg_read_all_data", "none"],
    "work_mem": ["5MB", "96kB", "7MB"],
    "DateStyle": ["ISO, DMY", "SQL, MDY", "German, DMY"],
    "TimeZone": ["UTC", "Asia/Tokyo", "Africa/Nairobi"],
    "IntervalStyle": ["iso_8601", "sql_standard"],
    "extra_float_digits": ["0", "-3", "2"],
    "enable_seqscan": ["off"], "enable_hashjoin": ["off"], "enable_sort": ["off"],
    "statement_timeout": ["10min", "11min"],
    "default_transaction_isolation": ["serializable", "repeatable read"],
    "bytea_output": ["escape"], "client_min_messages": ["warning", "error"],
    "application_name": ["busy", "also busy"],
    "busy.mark": ["one", "two", "three"],
}
# Names that tests give to their own.
STATEMENTS = ["q1", "q2", "q3", "p1", "p2", "prep", "test", "prepstmt", "s1"]
MOST_EXAMPLES = 20


class Crowd:
    """All of them; what they saw is in `looks`, `foreign` and `examples`."""

    def __init__(self, where, count, pause, seed):
        self.where, self.pause, self.seed = where, pause, seed
        self.looks = self.foreign = self.lost = 0
        self.examples = collections.Counter()
        self._lock = threading.Lock()
        self._ending = threading.Event()
        self._threads = [threading.Thread(target=self._live, args=(number,), daemon=True) for number in range(count)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._ending.set()
        for thread in self._threads:
            thread.join(30)

    def is_content(self):
        """They have looked, and never found anything but their own."""
        return self.looks > 0 and not self.foreign and not self.lost

    def summary(self):
        lines = [f"busy clients: {self.foreign} foreign looks of {self.looks}, {self.lost} lost connections"]
        lines += [f"  {count} × {what}" for what, count in self.examples.most_common(MOST_EXAMPLES)]
        return "\n".join(lines)

    def _live(self, number):
        dice = random.Random(f"{self.seed} {number}")
        while not self._ending.is_set():
            try:
                client = Client(self.where, dice)
                for _ in range(dice.randrange(20, 400)):
                    if self._ending.is_set():
                        break
                    client.change()
                    time.sleep(dice.random() * 2 * self.pause)
                    self._note(client.look())
                    time.sleep(dice.random() * 2 * self.pause)
                client.connection.close()
            except protocol.Refused as refused:
                self._note([f"refused: {refused}"])
            except protocol.Lost as lost:
                with self._lock:
                    self.lost += 1
                    self.examples[f"lost: {lost}"] += 1
                time.sleep(0.2)
            except Exception as error:
                # Whatever it was, it was not the answer.
                self._note([f"the answer to something else: {error!r}"])

    def _note(self, differences):
        with self._lock:
            self.looks += 1
            self.foreign += bool(differences)
            self.examples.update(differences)


class Client:
    """One session and what it ought to be."""

    def __init__(self, where, dice):
        self.dice = dice
        self.connection = protocol.Connection(where.path, user=USER, database=DATABASE)
        self.expected = dict(zip(SETTINGS, self._settings()))
        self.start = dict(self.expected)
        self.sql_statements, self.statements = set(), set()

    def change(self):
        """One transaction that changes the session, or tries to."""
        self.dice.choices(
            [self._set, self._block, self._rolled_back, self._reset, self._prepare, self._parse, self._discard],
            [6, 4, 3, 2, 4, 4, 0.3])[0]()

    def look(self):
        """The differences between the session and what it ought to be."""
        seen = dict(zip(SETTINGS, self._settings()))
        differences = [name for name in SETTINGS if seen[name] != self.expected[name]]
        rows = self.connection.query("select name, from_sql from pg_catalog.pg_prepared_statements where from_sql")
        if {name for name, _ in rows} != self.sql_statements:
            differences.append("prepared statements")
        if "role" in differences:
            self.expected["role"] = seen["role"]
        for name in self.dice.sample(sorted(self.statements), min(1, len(self.statements))):
            if self.connection.execute(name) != [(name,)]:
                differences.append("a statement's text")
        self.expected = seen
        self.sql_statements = {name for name, _ in rows}
        return differences

    def _settings(self):
        # That PostgreSQL has heard the name of a custom parameter cannot be undone: unknown is the same as empty.
        asked = ", ".join(f"coalesce(pg_catalog.current_setting('{name}', true), '')" for name in SETTINGS)
        (row,) = self.connection.query(f"select {asked}")
        return row

    def _any(self):
        name = self.dice.choice(list(SETTINGS))
        return name, self.dice.choice(SETTINGS[name])

    def _set(self):
        name, value = self._any()
        if self.dice.random() < 0.5:
            self.connection.query(f"select pg_catalog.set_config('{name}', '{value}', false)")
        else:
            self.connection.query(f"set {name} = {listed(value)}")
        self.expected[name] = value

    def _block(self):
        (name, value), (passing, other) = self._any(), self._any()
        if passing == name:
            return self._set()
        self.connection.query("begin")
        self.connection.query(f"set {name} = {listed(value)}")
        self.connection.query(f"set local {passing} = {listed(other)}")
        self.connection.query("commit")
        self.expected[name] = value

    def _rolled_back(self):
        name, value = self._any()
        self.connection.query(f"begin; set {name} = {listed(value)}")
        self.connection.query("rollback")

    def _reset(self):
        name, _ = self._any()
        self.connection.query(f"reset {name}")
        self.expected[name] = self.start[name]

    def _prepare(self):
        name = self.dice.choice(STATEMENTS)
        if name in self.sql_statements:
            self.connection.query(f"deallocate {name}")
            self.sql_statements.remove(name)
        elif name not in self.statements:
            self.connection.query(f"prepare {name} as select 'busy'::pg_catalog.text")
            self.sql_statements.add(name)

    def _parse(self):
        name = self.dice.choice(STATEMENTS)
        if name in self.statements:
            self.connection.forget(name)
            self.statements.remove(name)
        elif name not in self.sql_statements:
            self.connection.parse(name, f"select '{name}'::pg_catalog.text")
            self.statements.add(name)

    def _discard(self):
        self.connection.query("discard all")
        self.expected = dict(self.start)
        self.sql_statements, self.statements = set(), set()


def listed(value):
    """As SET wants a value: lists as words of their own."""
    return ", ".join(f"'{word.strip()}'" for word in value.split(","))
