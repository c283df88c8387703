#!/usr/bin/env python3
"""Runs the test suites of Python clients, and of Go's pgx, against Serin (or any server that speaks PostgreSQL's protocol).

    tests/clients/run.py [--small] [--where-reachable] [--out DIR] [SUITE ...]

Without PGHOST and PGPORT a server is built and started on a free port with a directory of its own. With them that server is used:
a PostgreSQL 15, to see what passes there. Sources and a virtual environment are kept in $CLIENTS_CACHE (/var/tmp/serin-clients).

Failures that `known/SUITE.txt` lists, under their reasons, are expected; any other fails the run. What it lists under "on PostgreSQL,
too" does not count. A name behind a `!` is not run, as it would leave something behind that fails others; it counts as failed.
`--small` runs what CI has time for: parts of the suites whose sources a package registry has.
"""

import argparse
import contextlib
import io
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.parse
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
CACHE = pathlib.Path(os.environ.get("CLIENTS_CACHE", "/var/tmp/serin-clients"))
PACKAGES = [
    "psycopg[binary,pool]==3.3.9", "psycopg2-binary==2.9.13", "asyncpg==0.32.0", "SQLAlchemy==2.1.9", "Django==5.2.19",
    "anyio", "dnspython", "pytest", "pytest-timeout", "distro",
]
SOURCES = {"psycopg2": "2.9.13", "asyncpg": "0.32.0", "sqlalchemy": "2.1.9", "django": "5.2.19"}
# Its package does not have the tests.
PSYCOPG = ("https://github.com/psycopg/psycopg", "c079c37c")
DJANGO_APPS = (
    "basic queries lookup aggregation annotations expressions transactions select_for_update migrations schema "
    "introspection constraints indexes backends bulk_create"
).split()
DJANGO_SMALL = "basic aggregation transactions introspection constraints".split()
PSYCOPG2_SMALL = "cursor copy transaction types_basic with".split()
ASYNCPG_SMALL = "prepare copy cursor transaction".split()
SQLALCHEMY_SMALL = "Insert or Sequence or Json or CTE or HasTable or Identity or Exception"
PYTEST = ["-q", "-p", "no:randomly", "--timeout=30", "--tb=short", "-rfE"]


def prepare():
    """The virtual environment and the sources; its Python."""
    python = CACHE / "venv/bin/python"
    wanted = CACHE / "venv" / "packages.txt"
    if not wanted.exists() or wanted.read_text() != "\n".join(PACKAGES):
        CACHE.mkdir(parents=True, exist_ok=True)
        subprocess.run([sys.executable, "-m", "venv", CACHE / "venv"], check=True)
        subprocess.run([python, "-m", "pip", "install", "-q", *PACKAGES], check=True)
        wanted.write_text("\n".join(PACKAGES))
    return python


def source(name):
    """A source distribution, unpacked."""
    version = SOURCES[name]
    place = CACHE / "src" / f"{name}-{version}"
    if not place.exists():
        index = os.environ.get("PIP_INDEX_URL", "https://pypi.org/simple").rstrip("/") + f"/{name}/"
        with urllib.request.urlopen(index) as page:
            links = re.findall(r'href="([^"#]+)', page.read().decode())
        link = next(link for link in links if link.lower().endswith(f"{name}-{version}.tar.gz"))
        with urllib.request.urlopen(urllib.parse.urljoin(index, link)) as archive:
            with tarfile.open(fileobj=io.BytesIO(archive.read())) as tar:
                tar.extractall(CACHE / "src", filter="data")
    return place


def psycopg_source():
    place = CACHE / "src" / "psycopg3"
    if not place.exists():
        url, commit = os.environ.get("PSYCOPG_SOURCE", PSYCOPG[0]), PSYCOPG[1]
        subprocess.run(["git", "clone", "-q", url, place], check=True)
        subprocess.run(["git", "-C", place, "checkout", "-q", commit], check=True)
    return place


@contextlib.contextmanager
def server():
    """Its host and port."""
    if "PGPORT" in os.environ:
        yield os.environ.get("PGHOST", "127.0.0.1"), os.environ["PGPORT"]
        return
    binary = os.environ.get("SERIN_BIN")
    if binary is None:
        subprocess.run(["cargo", "build", "--release", "-p", "serin-server"], cwd=ROOT, check=True)
        binary = ROOT / "target/release/serin"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="serin-clients-") as data:
        process = subprocess.Popen(
            [binary, "--data", data, "--listen", f"127.0.0.1:{port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            deadline = time.monotonic() + 30
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port), 1).close()
                    break
                except OSError:
                    if process.poll() is not None or time.monotonic() > deadline:
                        sys.exit("the server does not start")
                    time.sleep(0.05)
            yield "127.0.0.1", str(port)
            if process.poll() is not None:
                sys.exit(f"the server ended with {process.returncode}")
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


class Run:
    def __init__(self, python, host, port, out):
        self.python, self.host, self.port, self.out = python, host, port, out
        self.environment = dict(os.environ, PGHOST=host, PGPORT=port, PGUSER="postgres", PGDATABASE="postgres")

    def sql(self, database, *statements):
        code = (
            "import sys, psycopg\n"
            "with psycopg.connect(dbname=sys.argv[1], autocommit=True) as c:\n"
            "    for statement in sys.argv[2:]: c.execute(statement)\n"
        )
        subprocess.run([self.python, "-c", code, database, *statements], env=self.environment, check=True)

    def database(self, name):
        self.sql("postgres", f"drop database if exists {name} with (force)", f"create database {name}")
        return name

    def command(self, suite, arguments, directory, timeout=900, **environment):
        """Its output, which is kept in the results' directory too."""
        environment = {**self.environment, **environment}
        done = subprocess.run(
            [self.python, *arguments], cwd=directory, env=environment, timeout=timeout, text=True, errors="replace",
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )
        with open(self.out / f"{suite}.txt", "a") as kept:
            kept.write(done.stdout)
        return done.stdout

    def pytest(self, suite, directory, *arguments, **environment):
        # psycopg's tests refuse to run while another run's cache says that it has not ended.
        cache = self.out / "pytest_cache"
        shutil.rmtree(cache, ignore_errors=True)
        arguments = ["-o", f"cache_dir={cache.resolve()}", *arguments]
        for name in Known(suite).left_out:
            arguments += ["--deselect", name]
        text = self.command(suite, ["-m", "pytest", *PYTEST, *arguments], directory, **environment)
        totals = dict.fromkeys(("passed", "failed", "skipped", "error"), 0)
        for line in re.findall(r"^=*\s*(\d+ .*) in [\d.]+s.*$", text, re.M):
            for count, kind in re.findall(r"(\d+) (passed|failed|skipped|error)", line):
                totals[kind] += int(count)
        failed = re.findall(r"^(?:FAILED|ERROR) (\S.*?)(?: - .*)?$", text, re.M)
        if not totals["passed"] and not failed:
            sys.exit(f"{suite}: nothing ran; see {self.out}/{suite}.txt")
        return totals["passed"], failed

    # -- the suites: how many passed, and the names of those that failed --

    def psycopg2(self, small):
        settings = {"": self.database("psycopg2_test"), "_HOST": self.host, "_PORT": self.port, "_USER": "postgres"}
        settings = {f"PSYCOPG2_TESTDB{key}": value for key, value in settings.items()}
        tests = [f"tests/test_{name}.py" for name in PSYCOPG2_SMALL] if small else ["tests"]
        return self.pytest("psycopg2", source("psycopg2"), *tests, **settings)

    def psycopg3(self, small):
        dsn = f"host={self.host} port={self.port} user=postgres dbname={self.database('psycopg3_test')}"
        marks = "not slow and not mypy and not dns and not timing"
        return self.pytest("psycopg3", psycopg_source(), "-m", marks, "--test-dsn", dsn, "tests")

    def asyncpg(self, small):
        # Beside its sources Python would find the package that is not compiled.
        place = CACHE / "src" / "asyncpg-tests"
        if not place.exists():
            (CACHE / "src" / "asyncpg-tests").mkdir(parents=True)
            os.symlink(source("asyncpg") / "tests", place / "tests")
        passed, failed = 0, []
        # By file: what a test leaves behind when it fails would end the whole run.
        for file in sorted((place / "tests").glob("test_*.py")):
            if file.name in ("test__sourcecode.py", "test_subinterpreters.py", "test__environment.py", "test_adversity.py"):
                continue
            if small and file.stem.removeprefix("test_") not in ASYNCPG_SMALL:
                continue
            self.sql("postgres", "drop database if exists asyncpg_test with (force)", "create database asyncpg_test")
            more, failures = self.pytest("asyncpg", place, f"tests/{file.name}", PGDATABASE="asyncpg_test")
            passed, failed = passed + more, failed + failures
        return passed, failed

    def sqlalchemy(self, small):
        """The compliance suite for dialects."""
        database = self.database("sqlalchemy_test")
        self.sql(database, "create schema test_schema", "create schema test_schema_2")
        url = f"postgresql+psycopg2://postgres@/{database}?host={self.host}&port={self.port}"
        # Its set-up wants an extension that only some of the other tests use.
        plugin = source("sqlalchemy") / "lib/sqlalchemy/dialects/postgresql/provision.py"
        text = plugin.read_text()
        plugin.write_text(text.replace("CREATE EXTENSION IF NOT EXISTS", "SELECT 1 --"))
        part = ["-k", SQLALCHEMY_SMALL] if small else []
        return self.pytest(
            "sqlalchemy", source("sqlalchemy"), "--maxfail=9999", "--dburi", url, "test/dialect/test_suite.py", *part
        )

    def pgx(self, small):
        """Debian's pgx, whose package has its tests, in the Go of before modules."""
        if not pathlib.Path("/usr/share/gocode/src/github.com/jackc/pgx/v4").exists() or not shutil.which("go"):
            install = ["apt-get", "install", "-qy", "--no-install-recommends", "golang-go", "golang-github-jackc-pgx-v4-dev"]
            subprocess.run(["apt-get", "update", "-q"], check=True, stdout=subprocess.DEVNULL)
            subprocess.run(install, check=True, stdout=subprocess.DEVNULL)
        database = self.database("pgx_test")
        self.sql(database, "create extension hstore", "create domain uint64 as numeric(20, 0)")
        environment = {
            **self.environment,
            "PGX_TEST_DATABASE": f"host={self.host} port={self.port} user=postgres database={database}",
            "GO111MODULE": "off", "GOPATH": "/usr/share/gocode", "GOCACHE": str(CACHE / "go"),
        }
        packages = [f"github.com/jackc/pgx/v4{package}" for package in ("", "/pgxpool")]
        done = subprocess.run(
            ["go", "test", "-json", "-count=1", "-timeout=10m", *packages], env=environment, text=True, stdout=subprocess.PIPE
        )
        (self.out / "pgx.txt").write_text(done.stdout)
        events = [json.loads(line) for line in done.stdout.splitlines()]
        ended = [(event["Action"], f"{event['Package'].split('jackc/')[1]}.{event['Test']}") for event in events if "Test" in event]
        passed, failed = ([name for action, name in ended if action == wanted] for wanted in ("pass", "fail"))
        if not passed:
            sys.exit(f"pgx: nothing ran; see {self.out}/pgx.txt")
        return len(passed), failed

    def django(self, small):
        settings = HERE / "django_settings.py"
        environment = {"PYTHONPATH": f"{source('django')}:{settings.parent}"}
        passed, failed = 0, []
        for app in DJANGO_SMALL if small else DJANGO_APPS:
            for database in ("test_serin1", "test_serin2"):
                self.sql("postgres", f"drop database if exists {database} with (force)")
            arguments = ["runtests.py", "--settings=django_settings", "--noinput", "--parallel", "1", app]
            text = self.command("django", arguments, source("django") / "tests", **environment)
            ran = re.search(r"^Ran (\d+) tests? in", text, re.M)
            names = sorted(set(re.findall(r"^(?:FAIL|ERROR): \S+ \(([\w.]+)\)", text, re.M)))
            if not ran:
                names = [f"{app} (does not start)"]
            skipped = re.search(r"skipped=(\d+)", text)
            count = int(ran[1]) if ran else 0
            passed += max(count - len(names) - (int(skipped[1]) if skipped else 0), 0)
            failed += names
        return passed, failed


SUITES = ["psycopg2", "psycopg3", "asyncpg", "pgx", "sqlalchemy", "django"]
SMALL = ["psycopg2", "asyncpg", "sqlalchemy", "django"]


class Known:
    """Failures that are expected: names (or their beginnings, with `*`), a line each, under headings that give the reason."""

    def __init__(self, suite):
        file = HERE / "known" / f"{suite}.txt"
        self.here, self.everywhere, self.left_out = [], [], []
        names = self.here
        for line in file.read_text().splitlines() if file.exists() else []:
            if line.startswith("#"):
                names = self.everywhere if "on PostgreSQL, too" in line else self.here
            elif line.strip():
                if line.startswith("!"):
                    self.left_out.append(line.strip("! "))
                names.append(line.strip("! "))

    @staticmethod
    def has(patterns, name):
        return any(name == p or (p.endswith("*") and name.startswith(p[:-1])) for p in patterns)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("suites", nargs="*", metavar="SUITE", help=f"of {', '.join(SUITES)}; default all")
    parser.add_argument("--small", action="store_true", help=f"{', '.join(SMALL)}, in part")
    parser.add_argument("--where-reachable", action="store_true", help="nothing is run where the suites can't be fetched")
    parser.add_argument("--out", default=CACHE / "results", type=pathlib.Path, help="where the suites' output goes")
    arguments = parser.parse_args()
    suites = arguments.suites or (SMALL if arguments.small else SUITES)
    if unknown := set(suites) - set(SUITES):
        parser.error(f"unknown: {', '.join(unknown)}")
    try:
        python = prepare()
        for suite in set(suites) & set(SOURCES):
            source(suite)
    except (OSError, subprocess.CalledProcessError) as error:
        if not arguments.where_reachable:
            raise
        print(f"skipped: the suites can't be fetched ({error})")
        return
    arguments.out.mkdir(parents=True, exist_ok=True)
    unexpected = 0
    with server() as (host, port):
        run = Run(python, host, port, arguments.out)
        for suite in suites:
            (arguments.out / f"{suite}.txt").unlink(missing_ok=True)
            known = Known(suite)
            passed, failed = getattr(run, suite)(arguments.small)
            if not arguments.small:
                failed += known.left_out
            failed = [name for name in failed if not known.has(known.everywhere, name)]
            new = [name for name in failed if not known.has(known.here, name)]
            total = passed + len(failed)
            print(f"{suite}: {passed} of {total} passed ({100 * passed / total:.1f} %), {len(new)} unexpected", flush=True)
            for name in new:
                print(f"    {name}")
            unexpected += len(new)
    sys.exit(1 if unexpected else 0)


if __name__ == "__main__":
    main()
