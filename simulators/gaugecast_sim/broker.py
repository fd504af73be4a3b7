"""A broker in a child process, for demonstrations and first tries where no mosquitto runs.

The child is amqtt (MQTT 3.1.1 only, some 2,000 messages a second). It listens on 127.0.0.1 alone, lets everybody in,
and ends with its parent, even if that is killed: it watches a pipe. `embedded` tells its quirks; do not judge
durability by it.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path

START_S = 20.0
STOP_S = 5.0


class BrokerError(Exception):
    """The embedded broker did not start; the message has what it said."""


class EmbeddedBroker:
    """Starts on entering, ends on leaving. Owned by one thread.

    Args:
        port: 0 = any free one.

    Attributes:
        host, port: Where it listens; the port is known once it has started.
        pid: Of the child.
    """

    def __init__(self, port: int = 0) -> None:
        self.host = "127.0.0.1"
        self.port = port
        self.pid = 0
        self._child: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> EmbeddedBroker:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start the child and wait until it listens.

        Raises:
            BrokerError: it ended instead; amqtt is missing, or the port is taken.
        """
        source = str(Path(__file__).resolve().parent.parent)
        paths = [source, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
        child = subprocess.Popen(
            [sys.executable, "-m", "gaugecast_sim.embedded", str(self.port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
            start_new_session=True,  # a Ctrl-C in the terminal is for the parent, which then stops us in its order
        )
        self._child, self.pid = child, child.pid
        assert child.stdout is not None
        line = child.stdout.readline()  # the child ends by itself where it cannot start: no deadline needed
        if not line.startswith(b"port "):
            _, said = child.communicate()
            self._child = None
            raise BrokerError(f"expected the embedded broker to listen, got {said.decode(errors='replace')[-800:]!r}")
        self.port = int(line.split()[1])

    def stop(self) -> None:
        """Close the pipe, which ends the child; kill it by its id if that takes more than some seconds."""
        child, self._child = self._child, None
        if child is None:
            return
        try:
            child.communicate(timeout=STOP_S)
        except subprocess.TimeoutExpired:
            child.kill()
            with contextlib.suppress(OSError):
                child.communicate()
