"""The console read by psycopg through the extended protocol. Arguments: a connection string of the console.

Expects a pool in which one client is in a transaction. Ends with 1 and a message at any mismatch.
"""

import sys

import psycopg
from psycopg.rows import dict_row

from expect import equal, sqlstate

TABLES = "POOLS CLIENTS SERVERS DATABASES USERS STATS STATS_TOTALS STATS_AVERAGES TOTALS LISTS CONFIG STATE VERSION".split()


def main(conninfo):
    with psycopg.connect(conninfo, autocommit=True, row_factory=dict_row) as conn:
        for table in TABLES:
            simple = conn.execute(f"SHOW {table}").fetchall()
            extended = conn.execute(f"SHOW {table}", prepare=True).fetchall()
            binary = conn.execute(f"SHOW {table}", binary=True).fetchall()
            equal(f"columns of {table}", [list(simple[0]), list(extended[0])], [list(binary[0])] * 2)
            equal(f"rows of {table}", (len(simple), len(extended)), (len(binary), len(binary)))
        for binary in (False, True):
            pool = conn.execute("SHOW POOLS", binary=binary).fetchone()
            equal("numbers are numbers", (pool["cl_active"], pool["sv_active"], pool["cl_waiting"]), (1, 1, 0))
        try:
            conn.execute("SHOW POOLS WHERE x = %s", (1,))
        except psycopg.Error as error:
            sqlstate("parameters", error, "0A000")
        else:
            sys.exit("a parameter was accepted")
        notices = []
        conn.add_notice_handler(lambda notice: notices.append(notice.message_primary))
        conn.execute("SHOW HELP")
        equal("help", notices, ["Console usage"])
    # Without autocommit psycopg says BEGIN first, and ROLLBACK at the end.
    with psycopg.connect(conninfo) as conn:
        equal("in a transaction", conn.execute("SHOW VERSION").fetchone()[0].split()[0], "Howdah")
        conn.rollback()


if __name__ == "__main__":
    main(sys.argv[1])
