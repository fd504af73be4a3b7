"""The console's process: listens, serves, ends when asked to or with the daemon whose child it is."""

from __future__ import annotations

import os
import signal
import socket
import ssl
from urllib.parse import urlsplit

import uvicorn
from starlette.applications import Starlette

from gaugecast.config.console import Console, ConsoleTls
from gaugecast.config.schema import Settings
from gaugecast.console.app import make_app
from gaugecast.console.guard import Keys, read_token
from gaugecast.console.live import Live
from gaugecast.console.views import World
from gaugecast.errors import AddressTaken, ConfigError
from gaugecast.logs import get

log = get("gaugecast.console")

#: Whoever still asks is cut so long after we were asked to end.
_GRACE_S = 1


def serve(settings: Settings, world: World) -> None:
    """Serve until SIGTERM or SIGINT.

    Args:
        settings: Of the daemon.
        world: What is shown.

    Raises:
        ConfigError: The token, or the certificate, cannot be read.
        AddressTaken: Somebody listens there.
    """
    console = settings.console
    keys = _keys(console)
    check_tls(console.tls)
    listener = _listen(console.host, console.port)
    hosts = [] if console.proxy is None else [urlsplit(console.proxy).hostname or ""]
    app = make_app(world, keys, hosts)
    url = url_of(console.host, listener.getsockname()[1], tls=console.tls is not None)
    log.info("console", url=url, pid=os.getpid())
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    for number in (signal.SIGTERM, signal.SIGINT):  # uvicorn raises them once more when it has ended
        signal.signal(number, lambda *_: None)
    Server(app, console.tls).run(sockets=[listener])


def _keys(console: Console) -> Keys:
    look, write = console.token_file, console.write_token_file
    return Keys(
        None if look is None else read_token(look),
        None if write is None else read_token(write, "write_token_file"),
    )


def check_tls(tls: ConsoleTls | None) -> None:
    """That certificate and key can be read, and belong together: uvicorn would end with a trace."""
    if tls is None:
        return
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(tls.certificate, tls.key)
    except OSError as exc:  # ssl.SSLError is one
        raise ConfigError(f"[console.tls] {tls.certificate} and {tls.key} cannot be used: {exc}") from exc


class Server(uvicorn.Server):
    """As uvicorn has it, but for those who listen to events, which never end by themselves: they are told first."""

    def __init__(self, app: Starlette, tls: ConsoleTls | None = None) -> None:
        config = uvicorn.Config(
            app, log_config=None, access_log=False, server_header=False, lifespan="off", http="h11", ws="none",
            timeout_graceful_shutdown=_GRACE_S, limit_concurrency=256, timeout_keep_alive=20,
            ssl_certfile=None if tls is None else tls.certificate, ssl_keyfile=None if tls is None else tls.key,
        )  # fmt: skip
        super().__init__(config)
        self._live: Live = app.state.live

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let them go, then the others."""
        self._live.ending = True
        await super().shutdown(sockets)


def url_of(host: str, port: int, *, tls: bool = False) -> str:
    """Where to look."""
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
    return f"http{'s' * tls}://{shown}:{port}/"


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
