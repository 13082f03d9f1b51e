"""The poolers that are compared: what each is called, how it is configured, how it is started."""
import os
import re
import shutil
import subprocess

import postgres
import processes
import scram

POOL_SIZE = 20


class Pooler:
    """A program that takes a pgbouncer.ini."""

    def __init__(self, name, binary, folder, settings, arguments=()):
        # A copy: the unprivileged user may not be able to go where it was built, and a build may replace it.
        self.name, self.settings, self.arguments = name, settings, list(arguments)
        self.binary = os.path.join(folder, f"{name}-binary")
        shutil.copy(binary, self.binary)
        os.chmod(self.binary, 0o755)
        said = subprocess.run([self.binary, "--version"], capture_output=True, text=True).stdout
        self.version = (re.findall(r"\d+\.\d+(?:\.\d+)?", said) or ["of unknown version"])[0]

    def start(self, stage, workload):
        """Starts it for this workload and waits until it serves."""
        folder = os.path.join(stage.folder, self.name)
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
        port = processes.free_port()
        upstream = stage.fake if workload.fake else stage.cluster
        host = upstream.folder if workload.unix else upstream.host
        settings = {
            "listen_addr": "127.0.0.1", "listen_port": port, "unix_socket_dir": "", "listen_backlog": 4096,
            "auth_type": "scram-sha-256" if workload.scram else "trust", "auth_file": f"{folder}/users.txt",
            "pool_mode": "transaction", "default_pool_size": POOL_SIZE, "max_client_conn": 12000,
            "log_connections": 0, "log_disconnections": 0, "log_stats": 0, **self.settings,
        }
        if "workers" in settings and workload.workers:
            settings["workers"] = workload.workers
        lines = ["[databases]", f"{postgres.DATABASE} = host={host} port={upstream.port}", "[pgbouncer]",
                 *(f"{name} = {value}" for name, value in settings.items())]
        for name, text in (("users.txt", f'"{postgres.USER}" "{stage.keys.verifier}"'), ("ini", "\n".join(lines))):
            with open(f"{folder}/{name}", "w") as file:
                file.write(text + "\n")
        if stage.user:
            for path in (folder, f"{folder}/users.txt", f"{folder}/ini"):
                os.chown(path, stage.user.pw_uid, stage.user.pw_gid)
        argv = [self.binary, *self.arguments, f"{folder}/ini"]
        running = processes.Running(argv, folder, f"{folder}/log", stage.user)
        running.port = port
        password = scram.PASSWORD if workload.scram else ""
        try:
            processes.until(lambda: postgres.answers(port, password=password), running)
        except BaseException:
            running.stop()
            raise
        return running


def pgbouncer(folder):
    """The reference: $PGBOUNCER, else the distribution's."""
    binary = os.environ.get("PGBOUNCER") or shutil.which("pgbouncer", path=os.environ["PATH"] + ":/usr/sbin")
    if binary is None:
        raise SystemExit("PgBouncer was not found; PGBOUNCER=/path says where it is")
    pooler = Pooler("PgBouncer", binary, folder, {}, ["-q"])
    if follows_statements(pooler):
        pooler.settings["max_prepared_statements"] = 200
    return pooler


def follows_statements(pooler):
    """PgBouncer serves prepared statements in transaction mode from 1.21 on."""
    return [int(part) for part in pooler.version.split(".")[:2] if part.isdigit()] >= [1, 21]


def howdah(text, binary, folder, workers):
    """A Howdah by its description: `name,setting=value,…`; `binary=` is not a setting but another program."""
    name, *pairs = text.split(",")
    settings = {"workers": workers, **dict(pair.split("=", 1) for pair in pairs)}
    return Pooler(name, settings.pop("binary", binary), folder, settings, ["-q"])
