"""The console's process: listens, serves, ends when asked to or with the daemon whose child it is."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import uvicorn
from starlette.applications import Starlette

from gaugecast.config.schema import Settings
from gaugecast.console.app import make_app
from gaugecast.console.guard import Keys, read_token
from gaugecast.console.live import Live
from gaugecast.console.views import World
from gaugecast.errors import AddressTaken
from gaugecast.ledger.reader import LedgerReader
from gaugecast.ledger.reads import Reader
from gaugecast.logs import get

log = get("gaugecast.console")

#: Whoever still asks is cut so long after we were asked to end.
_GRACE_S = 1


def serve(settings: Settings, control: Path, *, open_reader: Callable[[Path], Reader] = LedgerReader) -> None:
    """Serve until SIGTERM or SIGINT.

    Args:
        settings: Of the daemon.
        control: Its control socket.
        open_reader: Opens its ledger, wherever that lies.

    Raises:
        ConfigError: The token cannot be read.
        AddressTaken: Somebody listens there.
    """
    console = settings.console
    keys = Keys(None if console.token_file is None else read_token(console.token_file))
    listener = _listen(console.host, console.port)
    world = World(Path(settings.source), settings.storage.directory, control, open_reader=open_reader)
    app = make_app(world, keys)
    log.info("console", url=url_of(console.host, listener.getsockname()[1]), pid=os.getpid())
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    for number in (signal.SIGTERM, signal.SIGINT):  # uvicorn raises them once more when it has ended
        signal.signal(number, lambda *_: None)
    Server(app).run(sockets=[listener])


class Server(uvicorn.Server):
    """As uvicorn has it, but for those who listen to events, which never end by themselves: they are told first."""

    def __init__(self, app: Starlette) -> None:
        config = uvicorn.Config(
            app, log_config=None, access_log=False, server_header=False, lifespan="off", http="h11", ws="none",
            timeout_graceful_shutdown=_GRACE_S, limit_concurrency=256, timeout_keep_alive=20,
        )  # fmt: skip
        super().__init__(config)
        self._live: Live = app.state.live

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let them go, then the others."""
        self._live.ending = True
        await super().shutdown(sockets)


def url_of(host: str, port: int) -> str:
    """Where to look."""
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
    return f"http://{shown}:{port}/"


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(128)  # so that whoever reads where we are, and asks at once, is answered
    except OSError as exc:
        listener.close()
        raise AddressTaken(f"[console] expected to listen on {host}:{port}, got: {exc.strerror or exc}") from exc
    return listener
