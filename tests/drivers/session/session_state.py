"""What the session checks share: a look at a session, who watches it, and the unrest that makes servers change.

`look.sql` asks what a session looks like. A `Watch` knows what its connection did, and so what every look must show;
`Unrest` holds and frees server connections, so that a pooler has to serve a connection by another one each time.
"""

import json
import pathlib
import sys

import psycopg

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent))
from expect import equal  # noqa: E402

LOOK = pathlib.Path(__file__).with_name("look.sql").read_text()
# A connection that waits for ever would be a check that never ends.
PATIENCE = 20


class Watch:
    """What a connection's session has to look like: as at the beginning, but for what the connection changed."""

    most_backends = 0

    def __init__(self, name, text):
        self.name = name
        self.backends = set()
        self.expected = self._parsed(text)

    def changed(self, **changes):
        """From now on these are the connection's."""
        self.expected |= changes

    def saw(self, when, text):
        """Ends the program if the look shows anything but the connection's own."""
        equal(f"the session of {self.name} {when}", self._parsed(text), self.expected)

    def _parsed(self, text):
        look = json.loads(text)
        self.backends.add(look.pop("backend"))
        Watch.most_backends = max(Watch.most_backends, len(self.backends))
        return look


class Session(Watch):
    """A watch over whatever answers the function `ask` with the only value of a query's only row."""

    def __init__(self, name, ask, unrest):
        self.ask = ask
        self.unrest = unrest
        super().__init__(name, ask(LOOK))

    def check(self, when):
        self.unrest.stir()
        self.saw(when, self.ask(LOOK))


class Unrest:
    """Two connections that do nothing but hold a server connection for a while: now one, now both, now the other."""

    def __init__(self, conninfo):
        self.conninfo = conninfo
        self.connections = [psycopg.connect(conninfo, autocommit=True) for _ in range(2)]
        self.turn = 0

    def stir(self):
        self.turn += 1
        connection = self.connections[self.turn % 2]
        holds = connection.info.transaction_status == psycopg.pq.TransactionStatus.INTRANS
        connection.execute("commit" if holds else "begin")

    def stop(self):
        for connection in self.connections:
            connection.close()


def strangers_see_nothing(conninfo, before):
    """Ends the program if new connections, on as many servers as there may be, find more than there was at first."""
    strangers = [psycopg.connect(conninfo, autocommit=True) for _ in range(4)]
    for stranger in strangers:
        stranger.execute("begin")
    for stranger in strangers:
        look = Watch("a stranger", stranger.execute(LOOK).fetchone()[0]).expected
        equal("the session of somebody who comes last", look, before.expected)
        equal("channels left", stranger.execute("select pg_listening_channels()").fetchall(), [])
    for stranger in strangers:
        stranger.execute("commit")
        stranger.close()


def first_look(conninfo):
    """What a session is before anybody has done anything."""
    with psycopg.connect(conninfo, autocommit=True) as conn:
        return Watch("a stranger", conn.execute(LOOK).fetchone()[0])


def report():
    """On how many server connections one client has been: one if it is direct, more behind a pooler."""
    print(f"backends: {Watch.most_backends}")
