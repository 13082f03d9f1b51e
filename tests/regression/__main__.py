"""PostgreSQL's own regression tests through Howdah, while other clients are busy on the same pool.

Each test is a psql that runs a script and whose output has to be, to the letter, what it is on a direct connection.
"""
import argparse
import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time

import busy
import schedule
import source
from stage import DATABASE, USER, Stage

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def main():
    arguments = parse()
    installation = source.Installation()
    tests = source.Source(installation, os.path.join(arguments.target, "regression-suite"))
    tests.provide()
    groups, ignored = schedule.read(os.path.join(tests.tests, "parallel_schedule"))
    if arguments.part or arguments.tests:
        groups = schedule.part_of(groups, arguments.tests or schedule.PART)
    reports = os.path.join(arguments.target, "regression-suite", "direct" if arguments.direct else "howdah")
    shutil.rmtree(reports, ignore_errors=True)
    os.makedirs(reports)
    with Stage(installation, tests) as stage:
        schedule.write(os.path.join(stage.folder, "schedule"), groups, ignored)
        where = stage.start_postgresql({})
        if not arguments.direct:
            where = stage.start_howdah(arguments.binary, where, howdah_settings(arguments))
        print(f"PostgreSQL {installation.version} {'directly' if arguments.direct else f'through {arguments.binary}'}, "
              f"{arguments.busy} busy clients, seed {arguments.seed}", flush=True)
        with busy.Crowd(where, arguments.busy, arguments.pause / 1000, arguments.seed) as crowd:
            said = run_tests(stage, where, arguments)
        for name in os.listdir(stage.folder):
            if name.endswith(".log"):
                shutil.copy(os.path.join(stage.folder, name), reports)
        failed = report(stage, groups, said, reports, arguments)
    if arguments.busy:
        print(crowd.summary())
        if not crowd.is_content():
            failed.append("busy clients")
    print(f"failed: {', '.join(failed)}" if failed else "all is well")
    return 1 if failed else 0


def howdah_settings(arguments):
    settings = {
        "pool_mode": "transaction", "default_pool_size": arguments.size, "max_client_conn": 200,
        # A test waits for its turn as long as it takes, also for a server connection of its own where it needs one: up
        # to twenty of them share a few.
        "query_wait_timeout": 0, "query_wait_notify": 0, "max_pinned": 0,
        # Tests ask for currval() long after the nextval() it speaks of.
        "session_state": "sequences:pin",
    }
    return settings | dict(pair.split("=", 1) for pair in arguments.setting)


def run_tests(stage, where, arguments):
    """pg_regress as PostgreSQL's makefiles run it against a server that is there already; returns its output."""
    argv = [
        stage.installation.pg_regress, "--use-existing", f"--host={where.folder}", f"--port={where.port}",
        f"--user={USER}", f"--dbname={DATABASE}", f"--inputdir={stage.tests}", f"--outputdir={stage.output}",
        f"--bindir={stage.installation.bin}", f"--dlpath={stage.libraries}", "--max-concurrent-tests=20",
        f"--schedule={stage.folder}/schedule",
    ]
    if arguments.one_by_one:
        argv.append("--max-connections=1")
    running = stage.spawn(argv, "pg_regress.log")
    deadline, since, shown = time.monotonic() + arguments.timeout, time.monotonic(), 0
    while running.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(subprocess.TimeoutExpired):
            running.wait(1)
        said = stage.log("pg_regress.log")
        if arguments.verbose:
            print(said[shown:], end="", flush=True)
        if len(said) > shown:
            since, shown = time.monotonic(), len(said)
        elif time.monotonic() > since + arguments.stall:
            print(f"for {arguments.stall} s no test has ended; those that run are ended", flush=True)
            end_tests(running.pid)
            since = time.monotonic()
    return stage.log("pg_regress.log")


def end_tests(pg_regress):
    """Ends the psql of each test that runs; pg_regress goes on with the next group."""
    with open(f"/proc/{pg_regress}/task/{pg_regress}/children") as line:
        for pid in map(int, line.read().split()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)


def report(stage, groups, said, reports, arguments):
    """Says which tests differ; returns those that may not, or not so."""
    differences = {}
    with contextlib.suppress(FileNotFoundError):
        differences = schedule.diffs(stage.log("output/regression.diffs"))
    seen, failed = schedule.results(said), []
    planned = [name for group in groups for name in group]
    for name in planned:
        verdict, rest = seen.get(name, ("did not end", ""))
        if verdict == "ok":
            continue
        path = os.path.join(reports, f"{name}.diff")
        with open(path, "w") as file:
            file.write(differences.get(name, ""))
        with contextlib.suppress(FileNotFoundError):
            shutil.copy(os.path.join(stage.output, "results", f"{name}.out"), reports)
        known = not arguments.direct and verdict == "FAILED" and schedule.is_known(name, differences.get(name, ""))
        print(f"{name}: {verdict} {rest}{' as is known' if known else ''} {path}")
        if not known and name not in arguments.allow and "ignored" not in verdict:
            failed.append(name)
    if not seen:
        print(said[-3000:])
    passed = sum(seen.get(name, ("",))[0] == "ok" for name in planned)
    print(f"{passed} of {len(planned)} passed", flush=True)
    return failed


def parse():
    parser = argparse.ArgumentParser(prog="scripts/regression-suite", description=__doc__)
    target = os.path.abspath(os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target")))
    names = lambda text: [name for name in text.replace(",", " ").split() if name]
    parser.add_argument("--binary", help="the pooler; it gets one argument, an ini file (default: the built howdah)")
    parser.add_argument("--direct", action="store_true", help="without a pooler, for comparison")
    parser.add_argument("--tests", type=names, default=[], help="only these and what they need, a,b,c")
    parser.add_argument("--part", action="store_true", help="only the part that CI runs")
    parser.add_argument("--busy", type=int, default=6, help="how many other clients (default 6)")
    parser.add_argument("--pause", type=float, default=4, help="their pause between transactions, in ms (default 4)")
    parser.add_argument("--size", type=int, default=5, help="size of the pool (default 5)")
    parser.add_argument("--setting", action="append", default=[], help="name=value for the pooler; may be repeated")
    parser.add_argument("--allow", type=names, default=[], help="tests that may differ, a,b,c")
    parser.add_argument("--one-by-one", action="store_true", help="no two tests at the same time")
    parser.add_argument("--timeout", type=int, default=3600, help="seconds for all (default 3600)")
    parser.add_argument("--stall", type=int, default=120, help="seconds without any test's end (default 120)")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="of the busy clients' choices")
    parser.add_argument("--verbose", action="store_true", help="show what pg_regress says")
    parser.add_argument("--target", default=target, help="folder for the cache and the reports")
    arguments = parser.parse_args()
    if not arguments.direct and arguments.binary is None:
        found = [os.path.join(target, profile, "howdah") for profile in ("release", "debug")]
        found = sorted(filter(os.path.exists, found), key=os.path.getmtime)
        if not found:
            parser.error("howdah is not built: cargo build --release -p howdah, or say --binary")
        arguments.binary = found[-1]
    return arguments


if __name__ == "__main__":
    try:
        sys.exit(main())
    except source.Missing as missing:
        sys.exit(str(missing))
