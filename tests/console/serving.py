"""A console in this process, on a port of its own, and how tests ask it."""

from __future__ import annotations

import http.client
import json
import socket
import threading
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

from gaugecast.config.console import ConsoleTls
from gaugecast.config.schema import Loop
from gaugecast.console.app import make_app
from gaugecast.console.guard import Keys
from gaugecast.console.server import Server
from gaugecast.console.views import World
from gaugecast.service.showing import world_at
from support.mosquitto import wait_until

CONFIG = """
[mqtt]
host = "127.0.0.1"
port = {port}
client_id = "console-test"
watch_drops = false
[fleet.tanks]
subscribe = ["plant/{{tank}}"]
period = "1s"
time = "$.t"
horizons = ["1s", "3s"]
[fleet.tanks.features.level]
unit = "m"
valid = [-100, 100]
[fleet.tanks.features.flow]
[[fleet.tanks.threshold]]
feature = "level"
above = 9.0
within = "3s"
"""
T0 = 1_700_000_000

NOTHING: Mapping[str, str] = {}


class Answer(NamedTuple):
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """As JSON."""
        return json.loads(self.body)


class Served:
    """One console. `ask` is the API, `get` anything."""

    def __init__(
        self, world: World, token: str | None = None, write: str | None = None, *,
        tls: ConsoleTls | None = None, hosts: Collection[str] = (),
    ) -> None:  # fmt: skip
        self._world, self._keys, self._tls, self._hosts = world, Keys(token, write), tls, hosts
        self.port = 0
        self._start()

    def _start(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self.port = self._listener.getsockname()[1]
        self._server = Server(make_app(self._world, self._keys, self._hosts), self._tls)
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._listener]}, name="console")
        self._thread.start()
        wait_until(lambda: self._server.started, what="a console that serves")

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http{'s' * (self._tls is not None)}://127.0.0.1:{self.port}"

    def get(
        self, path: str, *, method: str = "GET", body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """One request."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, path, body=body, headers=dict(headers or {}))
            answer = connection.getresponse()
            return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def ask(self, name: str, **parameters: Any) -> Any:
        """An answer of the API, which is one."""
        answer = self.get(f"/api/v1/{name}?{urlencode(parameters, doseq=True)}")
        assert answer.status == 200, answer.body
        return answer.json

    def post(self, name: str, content: Any, headers: Mapping[str, str] = NOTHING) -> Answer:
        """A question with a body."""
        headers = {"Content-Type": "application/json", **headers}
        return self.get(f"/api/v1/{name}", method="POST", body=json.dumps(content).encode(), headers=headers)

    def restart(self) -> None:
        """End it, and serve at the same port again."""
        self.close()
        self._start()

    def close(self) -> None:
        """End it."""
        self._server.should_exit = True
        self._thread.join(20)
        self._listener.close()
        self._world.past.close()


@contextmanager
def served(config: Path, directory: Path, token: str | None = None, write: str | None = None) -> Iterator[Served]:
    """A console, ended at the end."""
    made = Served(world_at(config, directory, Loop()), token, write)
    try:
        yield made
    finally:
        made.close()
