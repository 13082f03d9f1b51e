"""What do processes cost, as whom are they started, and how are they stopped?"""
import os
import pwd
import signal
import socket
import subprocess
import time

TICK = os.sysconf("SC_CLK_TCK")


def account():
    """Whom servers run as: PostgreSQL refuses to be root. None: as we are."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            pass
    raise SystemExit("there is no unprivileged user to run PostgreSQL as")


def options(user):
    """For subprocess: become that user."""
    return {} if user is None else {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Running:
    """A started process; its own session, so that an interrupt of ours does not reach it before `stop`."""

    def __init__(self, argv, folder, log, user=None, environment=None):
        self.log = log
        with open(log, "a") as out:
            self.process = subprocess.Popen(
                argv, cwd=folder, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True,
                env=dict(os.environ, HOME=folder, **(environment or {})), **options(user))
        self.pid = self.process.pid

    def has_ended(self):
        return self.process.poll() is not None

    def said(self, size=600):
        with open(self.log, errors="replace") as lines:
            return lines.read()[-size:].strip()

    def stop(self, with_signal=signal.SIGKILL):
        if not self.has_ended():
            self.process.send_signal(with_signal)
        self.process.wait()


def until(answers, of, seconds=20):
    """Waits for `answers()` to be true; `of` is the Running that has to be alive meanwhile."""
    deadline = time.monotonic() + seconds
    while not answers():
        if of.has_ended() or time.monotonic() > deadline:
            raise RuntimeError(f"{of.process.args[0]} does not answer: {of.said()}")
        time.sleep(0.02)


def cpu(pid):
    """CPU seconds of one process, all its threads, to the nanosecond."""
    return time.clock_gettime((~pid << 3) | 2)  # Linux's number for a process's CPU clock


def tree_cpu(root):
    """CPU seconds of a process and its children, those that have ended too."""
    total = 0.0
    for pid in [root, *_children(root)]:
        try:
            total += cpu(pid) + sum(int(field) for field in _stat(pid)[13:15]) / TICK
        except (OSError, IndexError):
            pass  # it has ended: its parent's account has it now
    return total


def pss_kib(pid):
    """Memory in KiB; pages shared with other processes count in part."""
    with open(f"/proc/{pid}/smaps_rollup") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))


def machine_busy():
    """CPU seconds of everything on the machine."""
    with open("/proc/stat") as lines:
        user, nice, system, _idle, _wait, irq, softirq, steal = map(int, lines.readline().split()[1:9])
    return (user + nice + system + irq + softirq + steal) / TICK


def _children(root):
    with open(f"/proc/{root}/task/{root}/children") as line:
        return [int(pid) for pid in line.read().split()]


def _stat(pid):
    """The fields of /proc/PID/stat after the name; index 0 is the state."""
    with open(f"/proc/{pid}/stat") as line:
        return line.read().rpartition(")")[2].split()
