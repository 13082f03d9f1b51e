"""Runs pgbench and measures in a window in which all its clients are busy."""
import bisect
import glob
import os
import subprocess
import time

import postgres
import processes
import scram


def run(stage, options, warmup=0.7):
    folder = os.path.join(stage.folder, "pgbench")
    os.makedirs(folder, exist_ok=True)
    for old in glob.glob(f"{folder}/log.*"):
        os.remove(old)
    whole = int(warmup + stage.seconds + 1)
    argv = [postgres.program("pgbench"), "-h", "127.0.0.1", "-p", str(stage.pooler.port), "-U", postgres.USER, "-n",
            "-l", "--log-prefix", f"{folder}/log", "-T", str(whole), *options, postgres.DATABASE]
    process = subprocess.Popen(argv, env=postgres.environment(scram.PASSWORD), text=True, cwd=folder,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        time.sleep(warmup)
        first = _sample(stage)
        time.sleep(stage.seconds)
        last = _sample(stage)
        said, _ = process.communicate(timeout=whole + 60)
    finally:
        process.kill()
        process.wait()
    if process.returncode:
        raise RuntimeError(said.strip()[-300:])
    ended = sorted(_transactions(folder))
    times = [time for time, _ in ended]
    if not times or times[0] > first["time"] or times[-1] < last["time"]:
        raise RuntimeError("pgbench was not busy for as long as was measured")
    inside = ended[bisect.bisect(times, first["time"]):bisect.bisect(times, last["time"])]
    latencies = sorted(latency for _, latency in inside)
    wall, used = last["time"] - first["time"], {key: last[key] - first[key] for key in first}
    return {
        "rate": len(inside) / wall, "cost": used["pooler"] / len(inside) * 1e6,
        "server": used["server"] / len(inside) * 1e6,
        "p50": latencies[len(latencies) // 2], "p99": latencies[int(len(latencies) * .99)],
    }


def clients(count):
    return ["-c", str(count), "-j", str(min(count, 2))]


def _sample(stage):
    return {"time": time.time(), "pooler": processes.cpu(stage.pooler.pid), "server": stage.cluster.cpu()}


def _transactions(folder):
    """When each transaction ended, and how many milliseconds it took."""
    for name in glob.glob(f"{folder}/log.*"):
        with open(name) as lines:
            for line in lines:
                _client, _number, micros, _script, seconds, part = line.split()[:6]
                if micros.isdigit():
                    yield int(seconds) + int(part) / 1e6, int(micros) / 1e3
