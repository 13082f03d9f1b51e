"""What is run through each pooler, and how far below PgBouncer's its cost should be."""
import dataclasses
import resource
from typing import Callable

import pgbench
import wireload

TRANSACTION = "µs/transaction"


@dataclasses.dataclass
class Workload:
    about: str
    run: Callable
    unit: str = TRANSACTION     # of its cost, which is CPU time unless it says otherwise
    goal: str = ""              # cost relative to PgBouncer's: with plain sends / with batched ones
    rate: str = "tps"
    fake: bool = False          # before the fake PostgreSQL
    scram: bool = False         # clients have a password
    prepared: bool = False      # needs prepared statements in transaction mode
    unix: bool = False          # the server is reached over its Unix socket
    workers: int = 0            # instead of what the command line says


def _pgbench(*options, **more):
    return lambda stage: pgbench.run(stage, options, **more)


def _wireload(*options):
    return lambda stage: wireload.transactions(stage, *map(str, options))


def _bulk(sql, megabytes):
    return lambda stage: wireload.bulk(stage, sql, megabytes)


def _idle(stage):
    most = min(10000, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 500)
    return wireload.idle(stage, [goal for goal in (1000, 5000) if goal < most] + [most])


WORKLOADS = {
    "select_20": Workload("pgbench -S, 20 clients", _pgbench("-S", *pgbench.clients(20)), goal="0.95 / 0.85"),
    "select_100": Workload("pgbench -S, 100 clients", _pgbench("-S", *pgbench.clients(100)), goal="0.78 / 0.60"),
    "select_1000": Workload("pgbench -S, 1,000 clients", _pgbench("-S", *pgbench.clients(1000), warmup=2.0),
                            goal="0.78 / 0.60"),
    "prepared_100": Workload("pgbench -S -M prepared, 100 clients",
                             _pgbench("-S", "-M", "prepared", *pgbench.clients(100)),
                             goal="0.80 / 0.65", prepared=True),
    "unix_20": Workload("pgbench -S, 20 clients, Unix socket to the server", _pgbench("-S", *pgbench.clients(20)),
                        unix=True),
    "unix_100": Workload("pgbench -S, 100 clients, Unix socket to the server",
                         _pgbench("-S", *pgbench.clients(100)), unix=True),
    "tpcb_20": Workload("pgbench TPC-B, 20 clients", _pgbench(*pgbench.clients(20)), goal="0.95 / 0.85"),
    "one_client": Workload("pgbench -S, one client", _pgbench("-S", *pgbench.clients(1)), goal="p50 ≤ 1"),
    "rows_1k": Workload("100 MB result, rows of 1 kB",
                        _bulk("SELECT repeat('x', 1000) FROM generate_series(1, 100000)", 100),
                        unit="s/GB", rate="MB/s", goal="0.50"),
    "rows_1m": Workload("100 MB result, rows of 1 MB",
                        _bulk("SELECT repeat('x', 1000000) FROM generate_series(1, 100)", 100),
                        unit="s/GB", rate="MB/s", goal="0.15"),
    "result_60k": Workload("60 kB results, 20 clients",
                           _wireload("--clients", 20, "--sql",
                                     "SELECT repeat('x', 50) FROM generate_series(1, 1000)"), goal="0.30"),
    "connect": Workload("pgbench -S -C, 20 clients, no password", _pgbench("-S", "-C", *pgbench.clients(20)),
                        goal="1.0"),
    "connect_scram": Workload("pgbench -S -C, 20 clients, SCRAM", _pgbench("-S", "-C", *pgbench.clients(20)),
                              goal="0.8", scram=True),
    "idle": Workload("idle clients, memory", _idle, unit="KiB/client", rate="", goal="≤ 2.3 KiB"),
    "storm": Workload("1,000 SCRAM logins at once; latency of 20 others", lambda stage: wireload.storm(stage, 1000),
                      unit="µs/login", rate="logins/s", scram=True),
    "fake_20": Workload("fake server, 20 clients", _wireload("--clients", 20), fake=True),
    "fake_100": Workload("fake server, 100 clients", _wireload("--clients", 100), fake=True),
    "fake_1000": Workload("fake server, 1,000 clients", _wireload("--clients", 1000), fake=True),
    "fake_prepared_100": Workload("fake server, 100 clients, prepared",
                                  _wireload("--clients", 100, "--protocol", "prepared"), fake=True, prepared=True),
    "fake_60k": Workload("fake server, 60 kB results, 20 clients", _wireload("--clients", 20, "--rows", 1130),
                         goal="0.30", fake=True),
    "two_workers_20": Workload("fake server, 20 clients, two workers", _wireload("--clients", 20), fake=True,
                               goal="0.95", workers=2),
    "two_workers_100": Workload("fake server, 100 clients, two workers", _wireload("--clients", 100), fake=True,
                                goal="0.75", workers=2),
}
