"""A real Prometheus for a test: our rules and our scrape configuration, its own port and directory, ended by its id."""

from __future__ import annotations

import json
import shutil
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from support.mosquitto import free_port, wait_until

PLACE = Path(__file__).resolve().parents[2] / "deploy" / "prometheus"


class Series(NamedTuple):
    """One series of an answer: its labels, and (instant, value) pairs."""

    labels: Mapping[str, str]
    values: Sequence[tuple[float, float]]


class Prometheus:
    """One server on 127.0.0.1 that scrapes these targets every second."""

    def __init__(self, directory: Path, targets: Sequence[str]) -> None:
        self.port = free_port()
        self._directory = directory
        self._child: subprocess.Popen[bytes] | None = None
        directory.mkdir(parents=True)
        document = yaml.safe_load((PLACE / "prometheus.yml").read_text())
        document["global"] = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
        document["scrape_configs"][0]["static_configs"] = [{"targets": list(targets)}]
        (directory / "prometheus.yml").write_text(yaml.safe_dump(document))
        for name in document["rule_files"]:
            shutil.copy(PLACE / name, directory / name)

    def start(self) -> None:
        """Start it, and wait until it answers."""
        command = ["prometheus", f"--config.file={self._directory}/prometheus.yml"]
        command += [f"--storage.tsdb.path={self._directory}/tsdb", f"--web.listen-address=127.0.0.1:{self.port}"]
        with (self._directory / "log").open("wb") as log:
            self._child = subprocess.Popen([*command, "--log.level=warn"], stdout=log, stderr=log)
        wait_until(self._ready, what=f"prometheus ready, see {self._directory}/log", deadline_s=30)

    def close(self) -> None:
        """End it."""
        if self._child is not None:
            self._child.kill()
            self._child.wait(timeout=20)

    def ask(self, path: str, **words: object) -> Any:
        """`data` of an answer of its HTTP API."""
        url = f"http://127.0.0.1:{self.port}/api/v1/{path}?{urllib.parse.urlencode(words)}"
        with urllib.request.urlopen(url, timeout=20) as answer:
            return json.load(answer)["data"]

    def instant(self, expr: str) -> list[Series]:
        """The answer now."""
        found = self.ask("query", query=expr)["result"]
        return [Series(one["metric"], [(float(one["value"][0]), float(one["value"][1]))]) for one in found]

    def range(self, expr: str, start: float, end: float, step: float = 1.0) -> list[Series]:
        """The answer over a time."""
        found = self.ask("query_range", query=expr, start=start, end=end, step=step)["result"]
        return [Series(one["metric"], [(float(at), float(value)) for at, value in one["values"]]) for one in found]

    def _ready(self) -> bool:
        assert self._child is not None
        assert self._child.poll() is None, (self._directory / "log").read_text()[-500:]
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{self.port}/-/ready", timeout=2).close()
        except OSError:
            return False
        return True


@contextmanager
def run_prometheus(directory: Path, targets: Sequence[str]) -> Iterator[Prometheus]:
    """A started server, ended on leaving."""
    server = Prometheus(directory, targets)
    try:
        server.start()
        yield server
    finally:
        server.close()
