"""Howdah beside PgBouncer on this machine: CPU time, throughput, latency, memory.

For each workload and round, every pooler is started afresh and runs the same load, in an order that
changes from round to round. benches/README.md says what the figures mean.
"""
import argparse
import json
import os
import resource
import shlex
import shutil
import signal
import sys
import tempfile
import time

import poolers
import postgres
import processes
import report
import scram
import wireload
from workloads import WORKLOADS


class Stage:
    """What a workload needs: the servers, the pooler that is on, the time it may take."""

    def __init__(self, folder, arguments):
        self.folder, self.seconds = folder, arguments.seconds
        self.user, self.keys = processes.account(), scram.Keys()
        self.wireload = os.path.join(arguments.target, "howdah-wireload")
        self.pooler = self.cluster = self.fake = None
        database = os.path.join(folder, "postgresql")
        os.makedirs(database)
        if self.user:
            os.chown(database, self.user.pw_uid, self.user.pw_gid)
        self.cluster = postgres.Cluster(database, self.user, arguments.scale)
        self.fake = wireload.Fake(self.wireload, folder)

    def close(self):
        for server in (self.fake, self.cluster):
            server.stop()

    def measure(self, pooler, workload):
        """One pooler, one workload, once. What fails is a result, too."""
        before, started, own = processes.machine_busy(), time.monotonic(), self._own()
        try:
            self.pooler = pooler.start(self, workload)
            try:
                found = workload.run(self)
                if self.pooler.has_ended():
                    found["failed"] = f"it ended: {self.pooler.said(200)}"
            finally:
                self.pooler.stop()
        except Exception as error:
            return {"failed": str(error)[:300]}
        own = self._own() - own
        busy = processes.machine_busy() - before
        found["other"] = max(0.0, (busy - own) / (time.monotonic() - started) / os.cpu_count())
        return found

    def _own(self):
        """CPU seconds of ours and of what we have started and seen end; servers that go on are looked up."""
        spent = sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        return spent + self.cluster.cpu() + self.fake.cpu()


def rounds(stage, contestants, arguments):
    """Runs everything; yields after each workload all that is known by then."""
    results = {}
    for name in arguments.workloads:
        workload = WORKLOADS[name]
        by_pooler = results[name] = {pooler.name: [] for pooler in contestants}
        for turn in range(arguments.rounds):
            shift = turn % len(contestants)
            for pooler in contestants[shift:] + contestants[:shift]:
                if workload.prepared and pooler is contestants[0] and not poolers.follows_statements(pooler):
                    found = {"note": f"PgBouncer {pooler.version} has none in transaction mode, 1.21 has"}
                else:
                    found = stage.measure(pooler, workload)
                by_pooler[pooler.name].append(found)
                shown = {key: round(value, 3) if isinstance(value, float) else value for key, value in found.items()}
                print(f"{time.strftime('%H:%M:%S')} {name} {pooler.name} #{turn + 1}: {shown}", file=sys.stderr)
        yield results


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, prog="make bench BENCH='…'",
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    names = ", ".join(WORKLOADS)
    parser.add_argument("--workloads", metavar="NAME,…", default=",".join(WORKLOADS), help=f"of: {names}")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2, help="measured time of each run")
    parser.add_argument("--workers", type=int, default=1, help="Howdah's worker threads")
    parser.add_argument("--howdah", metavar="NAME[,SETTING=VALUE…]", action="append",
                        help="a Howdah with these settings; binary=PATH takes another program; may be repeated")
    parser.add_argument("--scale", type=int, default=10, help="of pgbench's tables")
    parser.add_argument("--write", metavar="FILE", help="also put the tables between this file's markers")
    parser.add_argument("--json", metavar="FILE", help="also write every round's figures")
    target = os.path.abspath(os.path.join(os.environ.get("CARGO_TARGET_DIR", "target"), "release"))
    parser.add_argument("--target", default=target, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    arguments.workloads = arguments.workloads.split(",")
    for name in arguments.workloads:
        if name not in WORKLOADS:
            parser.error(f"{name} is no workload; there are: {names}")
    return arguments


def about(stage, contestants, arguments):
    """What has to be known of a run, and how to repeat it."""
    said = sys.argv[1:]
    for option in ("--write", "--json"):
        if option in said:
            at = said.index(option)
            said = said[:at] + said[at + 2:]
    repeat = f"make bench BENCH={shlex.quote(shlex.join(said))}" if said else "make bench"
    versions = ", ".join(f"{pooler.name} {pooler.version}" for pooler in contestants)
    return [report.machine() + ".", f"{versions}, PostgreSQL {stage.cluster.version()}; pool of {poolers.POOL_SIZE}, "
            f"workers = {arguments.workers} unless the row says otherwise, {arguments.rounds} rounds of "
            f"{arguments.seconds:g} s. Median (least–greatest).", "", f"    {repeat}"]


def main():
    arguments = parse_arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    folder = tempfile.mkdtemp(prefix="howdah-bench-")
    os.chmod(folder, 0o755)
    try:
        binary = os.path.join(arguments.target, "howdah")
        contestants = [poolers.pgbouncer(folder)] + [
            poolers.howdah(text, binary, folder, arguments.workers) for text in arguments.howdah or ["Howdah"]]
        stage = Stage(folder, arguments)
        try:
            for results in rounds(stage, contestants, arguments):
                if arguments.json:
                    with open(arguments.json, "w") as file:
                        json.dump(results, file, indent=1)
            text = report.markdown(results, about(stage, contestants, arguments))
        finally:
            stage.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(text)
    if arguments.write:
        report.write(arguments.write, text)


if __name__ == "__main__":
    main()
