"""Where do PostgreSQL's own tests come from?

From the source package of the very PostgreSQL that is installed, fetched by apt into a folder of ours: the system's
lists and packages stay as they are, and nobody has to be root. The functions in C that the tests call are compiled
there with the headers of the package `postgresql-server-dev-N`, which is unpacked, not installed.
"""
import glob
import os
import re
import shlex
import shutil
import subprocess
import tarfile

# What of the source is kept: folder there, folder here, and its libraries in C.
TESTS = "src/test/regress"
LIBRARIES = {"regress": "src/test/regress", "autoinc": "contrib/spi", "refint": "contrib/spi"}
# The makefile of contrib/spi says so: the tests expect refint's notices.
MACROS = {"refint": ["-DREFINT_VERBOSE"]}


class Missing(Exception):
    """What is needed cannot be had; the text says what to do."""


class Installation:
    """The PostgreSQL on this machine."""

    def __init__(self):
        folders = [os.environ["HOWDAH_PG_BIN"]] if os.environ.get("HOWDAH_PG_BIN") else [
            *sorted(glob.glob("/usr/lib/postgresql/*/bin"), reverse=True), *os.environ["PATH"].split(":")]
        postgres = shutil.which("postgres", path=":".join(folders))
        if postgres is None:
            raise Missing("PostgreSQL's server was not found; HOWDAH_PG_BIN=/folder says where it is")
        self.bin = os.path.dirname(os.path.realpath(postgres))
        said = subprocess.run([postgres, "--version"], capture_output=True, text=True, check=True).stdout
        self.version = re.search(r"\d+[.\w]*", said)[0]
        self.major = self.version.split(".")[0]
        packaged = re.search(r"\((?:Debian|Ubuntu) ([^)]+)\)", said)
        self.package_version = packaged and packaged[1]
        self.pg_regress = os.path.join(
            os.path.dirname(self.bin), "lib", "pgxs", "src", "test", "regress", "pg_regress")

    def program(self, name):
        return os.path.join(self.bin, name)


class Source:
    """The tests and their libraries, ready to be used: `folder/tests` and `folder/libraries`."""

    def __init__(self, installation, cache):
        self.installation = installation
        self.folder = os.path.join(cache, f"postgresql-{installation.package_version or installation.version}")
        self.tests = os.path.join(self.folder, "tests")
        self.libraries = os.path.join(self.folder, "libraries")
        self._apt = os.path.join(self.folder, "apt")

    def provide(self):
        """Fetches and builds what is not there yet."""
        done = os.path.join(self.folder, "complete")
        if os.path.exists(done):
            return
        if self.installation.package_version is None or shutil.which("apt-get") is None:
            raise Missing("this PostgreSQL is not from Debian's or Ubuntu's packages; only those are understood")
        if not os.access(self.installation.pg_regress, os.X_OK):
            raise Missing(f"there is no {self.installation.pg_regress}")
        print(f"fetching the source of PostgreSQL {self.installation.package_version}", flush=True)
        shutil.rmtree(self.folder, ignore_errors=True)
        os.makedirs(self.folder)
        self._prepare_apt()
        self._unpack(self._fetch_source())
        self._compile(self._fetch_headers())
        shutil.rmtree(self._apt)
        open(done, "w").close()

    def _prepare_apt(self):
        """Lists of our own: the system's sources, and with each the sources' sources."""
        for folder in ("parts", "lists/partial", "cache/archives/partial", "sources", "headers"):
            os.makedirs(os.path.join(self._apt, folder))
        for path in ["/etc/apt/sources.list", *glob.glob("/etc/apt/sources.list.d/*")]:
            if path.endswith((".list", ".sources")) and os.path.isfile(path):
                with open(path) as file:
                    text = file.read()
                text = re.sub(r"(?m)^Types:\s*deb\s*$", "Types: deb deb-src", text)
                text = re.sub(r"(?m)^deb(\s.*)$", r"deb\1\ndeb-src\1", text)
                with open(os.path.join(self._apt, "parts", os.path.basename(path)), "w") as file:
                    file.write(text)
        self._run_apt("update")

    def _fetch_source(self):
        folder = os.path.join(self._apt, "sources")
        self._run_apt("source", "--download-only", self._package("postgresql-{}"), cwd=folder)
        return self._only(os.path.join(folder, "*.orig.tar.*[!c]"))

    def _fetch_headers(self):
        folder = os.path.join(self._apt, "headers")
        self._run_apt("download", self._package("postgresql-server-dev-{}"), cwd=folder)
        package = self._only(os.path.join(folder, "*.deb"))
        run(["dpkg-deb", "--extract", package, folder])
        return self._only(os.path.join(folder, "usr/include/postgresql/*/server"))

    def _unpack(self, archive):
        wanted = {TESTS + "/", *(folder + "/" for folder in LIBRARIES.values())}
        with tarfile.open(archive) as tar:
            for member in tar:
                path = member.name.partition("/")[2]
                if member.isfile() and path.startswith(tuple(wanted)):
                    target = os.path.join(self._apt, "unpacked", path)
                    os.makedirs(os.path.dirname(target), exist_ok=True)
                    with tar.extractfile(member) as bytes_in, open(target, "wb") as file:
                        shutil.copyfileobj(bytes_in, file)
        shutil.copytree(os.path.join(self._apt, "unpacked", TESTS), self.tests)

    def _compile(self, headers):
        os.makedirs(self.libraries)
        for name, folder in LIBRARIES.items():
            source = os.path.join(self._apt, "unpacked", folder, f"{name}.c")
            library = os.path.join(self.libraries, f"{name}.so")
            run(["cc", "-O2", "-w", "-shared", "-fPIC", "-fno-strict-aliasing", "-fwrapv", *MACROS.get(name, []),
                 "-D_GNU_SOURCE", f"-I{headers}", "-o", library, source])

    def _package(self, pattern):
        """The installed version, or what the mirror has of that major version now."""
        name = pattern.format(self.installation.major)
        exact = f"{name}={self.installation.package_version}"
        known = run(["apt-cache", *self._options(), "show" if "dev" in name else "showsrc", name])
        return exact if re.search(rf"(?m)^Version: {re.escape(self.installation.package_version)}$", known) else name

    def _options(self):
        options = {"Dir::Etc::sourcelist": "/dev/null", "Dir::Etc::sourceparts": f"{self._apt}/parts",
                   "Dir::State::lists": f"{self._apt}/lists", "Dir::Cache": f"{self._apt}/cache",
                   "APT::Sandbox::User": "root"}
        return [word for name, value in options.items() for word in ("-o", f"{name}={value}")]

    def _run_apt(self, *words, cwd=None):
        run(["apt-get", "-q", *self._options(), *words], cwd)

    @staticmethod
    def _only(pattern):
        found = glob.glob(pattern)
        if len(found) != 1:
            raise Missing(f"one file {pattern} was expected: {found}")
        return found[0]


def run(argv, cwd=None):
    """Runs a program and returns what it printed."""
    done = subprocess.run(argv, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode:
        raise Missing(f"{shlex.join(argv[:1] + argv[-2:])}: {(done.stdout + done.stderr)[-1500:].strip()}")
    return done.stdout
