"""A PostgreSQL that is thrown away afterwards, on a port of its own and safe from nothing but a crash."""
import glob
import os
import shutil
import signal
import subprocess

import processes

USER = DATABASE = "bench"


def program(name):
    """A program of PostgreSQL's: where HOWDAH_PG_BIN says, in PATH, or where distributions put them."""
    folders = [os.environ["HOWDAH_PG_BIN"]] if os.environ.get("HOWDAH_PG_BIN") else [
        *os.environ["PATH"].split(":"), *sorted(glob.glob("/usr/lib/postgresql/*/bin"), reverse=True),
        *sorted(glob.glob("/usr/pgsql-*/bin"), reverse=True)]
    found = shutil.which(name, path=":".join(folders))
    if found is None:
        raise SystemExit(f"{name} was not found; HOWDAH_PG_BIN=/folder says where it is")
    return os.path.realpath(found) if name in ("initdb", "postgres") else found


class Cluster:
    """The server, with pgbench's tables in it."""

    def __init__(self, folder, user, scale):
        self.folder, self.user = folder, user
        self.port = processes.free_port()
        self.host = "127.0.0.1"
        self._run([program("initdb"), "-D", f"{folder}/data", "-U", USER, "-A", "trust", "--locale=C", "-E", "UTF8"])
        settings = {
            "port": self.port, "listen_addresses": self.host, "unix_socket_directories": folder,
            "shared_buffers": "256MB", "max_connections": 100, "jit": "off", "autovacuum": "off",
            # The disk is not what is measured.
            "fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "max_wal_size": "4GB",
        }
        argv = [program("postgres"), "-D", f"{folder}/data"]
        for name, value in settings.items():
            argv += ["-c", f"{name}={value}"]
        self.running = processes.Running(argv, folder, f"{folder}/log", user)
        try:
            processes.until(lambda: answers(self.port, "postgres"), self.running)
            self._run([program("createdb"), "-h", folder, "-p", str(self.port), "-U", USER, DATABASE])
            self._run([program("pgbench"), "-i", "-q", "-s", str(scale), "-h", folder, "-p", str(self.port),
                       "-U", USER, DATABASE])
        except BaseException:
            self.stop()
            raise

    def version(self):
        return self._run([program("postgres"), "--version"]).split()[2]

    def cpu(self):
        return processes.tree_cpu(self.running.pid)

    def stop(self):
        self.running.stop(signal.SIGINT)

    def _run(self, argv):
        done = subprocess.run(argv, cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              **processes.options(self.user))
        if done.returncode:
            raise RuntimeError(f"{argv[0]}: {done.stdout[-600:]}")
        return done.stdout


def answers(port, database=DATABASE, password=""):
    """Does somebody answer a query there?"""
    argv = [program("psql"), "-XAtq", "-h", "127.0.0.1", "-p", str(port), "-U", USER, "-c", "SELECT 1", database]
    return subprocess.run(argv, env=environment(password), stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL).returncode == 0


def environment(password=""):
    """For libpq's programs: neither TLS nor GSSAPI is asked for."""
    return dict(os.environ, PGSSLMODE="disable", PGGSSENCMODE="disable", PGPASSWORD=password, PGCONNECT_TIMEOUT="5")
