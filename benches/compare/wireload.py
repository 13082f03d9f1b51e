"""Drives `howdah-wireload`: the fake PostgreSQL, and clients that cost less than pgbench's."""
import json
import os
import subprocess
import time

import processes


class Fake:
    """The fake PostgreSQL."""

    def __init__(self, binary, folder):
        self.host, self.port = "127.0.0.1", processes.free_port()
        argv = [binary, "serve", "--listen", f"{self.host}:{self.port}"]
        self.running = processes.Running(argv, folder, os.path.join(folder, "fake.log"))

    def cpu(self):
        return processes.cpu(self.running.pid)

    def stop(self):
        self.running.stop()


def load(stage, *options, warmup=0.5):
    """Busy clients; what came of it, by the names that `wireload` gives."""
    return _run(stage, "load", "--warmup", str(warmup), "--seconds", str(stage.seconds), *options)


def transactions(stage, *options):
    """Busy clients; figures per transaction."""
    found = load(stage, *options)
    figures = {
        "rate": found["answers"] / found["seconds"], "cost": found["cpu_s"] / found["answers"] * 1e6,
        "p50": found["p50_ms"], "p99": found["p99_ms"],
    }
    if found["peer_s"]:
        figures["server"] = found["peer_s"] / found["answers"] * 1e6
    return figures


def bulk(stage, sql, megabytes):
    """One client that reads a big result again and again; figures per GB."""
    found = load(stage, "--clients", "1", "--sql", sql, warmup=0.3)
    if found["bytes"] < megabytes * 1e6:
        raise RuntimeError("not even one result came back in the time measured")
    return {
        "rate": found["bytes"] / found["seconds"] / 1e6, "cost": found["cpu_s"] / found["bytes"] * 1e9,
    }


def storm(stage, logins):
    """That many SCRAM logins at once, while 20 others ask something every 10 ms."""
    keys = ["--client-key", stage.keys.client_key.hex(), "--server-key", stage.keys.server_key.hex()]
    found = _run(stage, "storm", "--logins", str(logins), "--clients", "20", "--pause", "10000",
                 "--sql", "SELECT 1", *keys)
    return {
        "rate": logins / found["seconds"], "cost": found["cpu_s"] / logins * 1e6,
        "p50": found["p50_ms"], "p99": found["p99_ms"],
        "note": f"p99 before the storm {found['calm_p99_ms']:.2f} ms",
    }


def idle(stage, goals):
    """How much memory grows per silent client, from the first 50 on."""
    argv = [stage.wireload, "hold", "--address", f"127.0.0.1:{stage.pooler.port}"]
    holder = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        def memory(clients):
            holder.stdin.write(f"{clients}\n")
            holder.stdin.flush()
            if not holder.stdout.readline():
                raise RuntimeError(holder.stderr.read().strip()[-300:])
            time.sleep(0.5)
            return processes.pss_kib(stage.pooler.pid)

        before = memory(50)
        growth = {goal: (memory(goal) - before) / (goal - 50) for goal in goals}
    finally:
        holder.kill()
        holder.wait()
    *steps, last = goals
    return {"cost": growth[last], "note": ", ".join(f"{growth[goal]:.2f} at {goal:,}" for goal in steps)}


def _run(stage, command, *options):
    argv = [stage.wireload, command, "--address", f"127.0.0.1:{stage.pooler.port}", "--pid", str(stage.pooler.pid),
            "--peer", str(stage.fake.running.pid), *options]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=stage.seconds * 3 + 120,
                          env=dict(os.environ, RUST_BACKTRACE="0"))
    if done.returncode:
        raise RuntimeError(" ".join(done.stderr.split()))
    return json.loads(done.stdout)
