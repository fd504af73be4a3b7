"""A real PostgreSQL for the tests: own port, own directory, own user, ended by its process id."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import psycopg

from gaugecast.cluster.postgres.place import Place
from support.mosquitto import free_port, wait_until


def _program(name: str) -> str | None:
    """In the path, or where Debian puts what is of one version."""
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), *map(str, versions)]))


INITDB = _program("initdb")
#: PostgreSQL refuses to be run by root.
_USER = "nobody" if os.geteuid() == 0 else None


class Postgres:
    """One server on 127.0.0.1, durable as it should be. `stop` and `start` keep port and directory.

    Args:
        directory: Empty, and open to `nobody` where we are root.
    """

    def __init__(self, directory: Path) -> None:
        self.directory, self.port = directory, free_port()
        self._schemas = count()
        self._process: subprocess.Popen[bytes] | None = None
        if _USER is not None:
            os.chown(directory, pwd.getpwnam(_USER).pw_uid, -1)
        words = "--no-sync --auth=trust --encoding=UTF8 --locale=C.UTF-8 --username=gaugecast -D data"
        self._run("initdb", *words.split())
        self.start()

    @property
    def url(self) -> str:
        """Of its one database."""
        return f"postgresql://gaugecast@127.0.0.1:{self.port}/postgres"

    def new_place(self, database: str = "postgres") -> Place:
        """A schema that nobody has used."""
        return Place(self.url.replace("/postgres", f"/{database}"), f"test_{os.getpid()}_{next(self._schemas)}")

    def start(self) -> None:
        """Start it, and wait until it answers."""
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [_program("postgres") or "", "-D", "data", "-p", str(self.port), "-c", "listen_addresses=127.0.0.1",
                 "-c", f"unix_socket_directories={self.directory}", "-c", "shared_buffers=16MB",
                 "-c", "max_connections=40"],
                cwd=self.directory, user=_USER, stdout=subprocess.DEVNULL, stderr=log,
            )  # fmt: skip
        wait_until(self._answers, what=lambda: f"PostgreSQL ready: {(self.directory / 'log').read_text()[-2000:]}",
                   deadline_s=90.0)  # fmt: skip

    def stop(self, *, by: signal.Signals = signal.SIGINT) -> None:
        """Stop it as `systemctl restart` would, or as a power cut would (SIGQUIT)."""
        if self._process is not None:
            self._process.send_signal(by)
            self._process.wait(30)
            self._process = None

    @contextmanager
    def away(self, *, by: signal.Signals = signal.SIGINT) -> Iterator[None]:
        """It is stopped, until the block ends."""
        self.stop(by=by)
        try:
            yield
        finally:
            self.start()

    def query(self, sql: str, *, database: str = "postgres") -> list[tuple[object, ...]]:
        """The rows of a statement."""
        with psycopg.connect(self.url.replace("/postgres", f"/{database}"), autocommit=True) as connection:
            cursor = connection.execute(sql)
            return cursor.fetchall() if cursor.description is not None else []

    def dump(self, place: Place, file: Path) -> None:
        """`pg_dump` of one schema."""
        with file.open("wb") as sink:
            subprocess.run([_program("pg_dump") or "", "--schema", place.schema, place.url], stdout=sink, check=True)

    def restore(self, file: Path, database: str) -> None:
        """Into a new database, by `psql`."""
        self.query(f"CREATE DATABASE {database}")
        url = self.url.replace("/postgres", f"/{database}")
        words = [_program("psql") or "", "--quiet", "--set", "ON_ERROR_STOP=1", "--file", str(file), url]
        subprocess.run(words, check=True, capture_output=True)

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.url, connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def _run(self, name: str, *words: str) -> None:
        subprocess.run([_program(name) or "", *words], cwd=self.directory, user=_USER, check=True, capture_output=True)


@contextmanager
def running(directory: Path) -> Iterator[Postgres]:
    """One that is ended when the block is."""
    server = Postgres(directory)
    try:
        yield server
    finally:
        server.stop(by=signal.SIGQUIT)
