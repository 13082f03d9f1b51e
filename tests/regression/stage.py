"""A PostgreSQL and a Howdah for one run, thrown away afterwards.

PostgreSQL refuses to be root, reads the tests' data and writes into their results; so everything it needs is copied
into a folder that belongs to the account that runs it.
"""
import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time

USER, DATABASE = "postgres", "regression"


class Stage:
    """The folder, the account, and what was started there."""

    def __init__(self, installation, source):
        self.installation = installation
        self.account = account()
        self.folder = tempfile.mkdtemp(prefix="regress-", dir="/tmp")
        self.tests, self.output = os.path.join(self.folder, "tests"), os.path.join(self.folder, "output")
        self.libraries = os.path.join(self.folder, "libraries")
        self._running = []
        shutil.copytree(source.tests, self.tests)
        shutil.copytree(source.libraries, self.libraries)
        for folder in ("output", "data", "howdah", "server"):
            os.mkdir(os.path.join(self.folder, folder))
        self.give_away(self.folder)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for running in reversed(self._running):
            stop(running)
        shutil.rmtree(self.folder, ignore_errors=True)

    def give_away(self, folder):
        """Lets the account own this folder and all in it."""
        if self.account:
            for where, _, files in os.walk(folder):
                for path in [where, *(os.path.join(where, file) for file in files)]:
                    os.chown(path, self.account.pw_uid, self.account.pw_gid)

    def start_postgresql(self, settings):
        """A server as pg_regress would make it, and the database it would create. Returns where it listens."""
        data = os.path.join(self.folder, "data")
        self.run("initdb", "-D", data, "-U", USER, "-A", "trust", "--no-sync", "--no-locale", "-E", "UTF8")
        port = free_port()
        settings = {
            "port": port, "listen_addresses": "", "unix_socket_directories": os.path.join(self.folder, "server"),
            # What pg_regress gives to an instance of its own.
            "max_prepared_transactions": 2,
            # Its files are thrown away; the disk need not keep up.
            "fsync": "off", **settings,
        }
        argv = [self.installation.program("postgres"), "-D", data]
        for name, value in settings.items():
            argv += ["-c", f"{name}={value}"]
        running = self.spawn(argv, "postgresql.log")
        where = Address(os.path.join(self.folder, "server"), port)
        self._until_it_answers(where, "postgres", running)
        fixed = {"lc_messages": "C", "lc_monetary": "C", "lc_numeric": "C", "lc_time": "C", "bytea_output": "hex",
                 "timezone_abbreviations": "Default"}
        self.psql(where, "postgres", f"create database {DATABASE} template template0", *(
            f"alter database {DATABASE} set {name} to '{value}'" for name, value in fixed.items()))
        return where

    def start_howdah(self, binary, server, settings):
        """The pooler before that server. Returns where it listens."""
        folder = os.path.join(self.folder, "howdah")
        # A copy: the account may not be able to go where it was built, and a build may replace it.
        copied = shutil.copy(binary, os.path.join(folder, "binary"))
        os.chmod(copied, 0o755)
        port = free_port()
        settings = {"listen_addr": "", "listen_port": port, "unix_socket_dir": folder, "auth_type": "trust",
                    "auth_file": f"{folder}/users.txt", "admin_users": USER, **settings}
        here = f"host={server.folder} port={server.port}"
        lines = ["[databases]", f"{DATABASE} = {here} dbname={DATABASE}", f"postgres = {here} dbname=postgres",
                 "[pgbouncer]", *(f"{name} = {value}" for name, value in settings.items())]
        for name, text in (("users.txt", f'"{USER}" ""'), ("ini", "\n".join(lines))):
            with open(os.path.join(folder, name), "w") as file:
                file.write(text + "\n")
        self.give_away(folder)
        running = self.spawn([copied, os.path.join(folder, "ini")], "howdah.log")
        where = Address(folder, port)
        self._until_it_answers(where, DATABASE, running)
        return where

    def psql(self, where, database, *statements):
        commands = [word for sql in statements for word in ("-c", sql)]
        return self.run("psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-h", where.folder, "-p", str(where.port), "-U", USER,
                        "-d", database, *commands)

    def run(self, program, *arguments):
        done = subprocess.run(
            [self.installation.program(program), *arguments], cwd=self.folder, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **self.options())
        if done.returncode:
            raise RuntimeError(f"{program}: {done.stdout[-1500:]}")
        return done.stdout

    def spawn(self, argv, log):
        with open(os.path.join(self.folder, log), "w") as out:
            running = subprocess.Popen(argv, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                       start_new_session=True, **self.options())
        self._running.append(running)
        return running

    def options(self):
        """For subprocess: become the account, and have nothing of the caller's that could change a result."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "LC_"))}
        options = {"env": dict(kept, HOME=self.folder, LANG="C.UTF-8")}
        if self.account:
            options.update(user=self.account.pw_uid, group=self.account.pw_gid, extra_groups=[])
        return options

    def log(self, name):
        with open(os.path.join(self.folder, name), errors="replace") as file:
            return file.read()

    def _until_it_answers(self, where, database, running):
        deadline = time.monotonic() + 60
        while True:
            try:
                return self.psql(where, database, "select 1")
            except RuntimeError as error:
                if running.poll() is not None or time.monotonic() > deadline:
                    logs = "".join(self.log(name)[-1500:] for name in os.listdir(self.folder) if name.endswith(".log"))
                    raise RuntimeError(f"{running.args[0]} does not answer: {error}\n{logs}") from None
            time.sleep(0.05)


class Address:
    """A Unix socket, as libpq names it."""

    def __init__(self, folder, port):
        self.folder, self.port = folder, port
        self.path = os.path.join(folder, f".s.PGSQL.{port}")


def stop(running):
    """Asks a process of ours to end at once, and sees to it that it does."""
    for wanted in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            running.send_signal(wanted)
        with contextlib.suppress(subprocess.TimeoutExpired):
            running.wait(10)
            return


def account():
    """Whom the server runs as; None: as we are."""
    if os.geteuid() != 0:
        return None
    for name in ("nobody", "postgres"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise SystemExit("there is no unprivileged account to run PostgreSQL as")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
