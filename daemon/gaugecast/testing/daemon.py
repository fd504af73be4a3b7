"""The shipped core over a state directory, with a broker in memory and a clock that only the test moves."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import msgspec

from gaugecast import events
from gaugecast.config import load_settings, resolve_fleets
from gaugecast.config.schema import Learning, Loop, Storage
from gaugecast.fleet import Fleet
from gaugecast.ledger.reader import oldest_input
from gaugecast.ledger.store import Ledger
from gaugecast.loop.core import Core, Ports, Setup
from gaugecast.loop.orders import TopicFilters
from gaugecast.model import Model
from gaugecast.records import Order
from gaugecast.service.loading import take_orders
from gaugecast.service.world import real_ports
from gaugecast.storage.checkpoint_writer import InlineCheckpointWriter
from gaugecast.storage.crash_note import CrashNote
from gaugecast.storage.lock import StateLock
from gaugecast.storage.models import ModelStore
from gaugecast.testing.broker import MemoryBroker, Published
from gaugecast.testing.clock import Clock
from gaugecast.testing.fleets import T0
from gaugecast.testing.link import MemoryLink

#: Rounds after which whatever waits has been forecast and published.
_MOST_ROUNDS = 10_000


class LocalDaemon:
    """What `gaugecast run` does with readings, without a broker, sockets, threads or a clock of its own.

    A context manager; owned by one thread. Messages are the daemon's, byte for byte: the ledger, the commits and the
    cursor of what is confirmed are the shipped ones.

    Args:
        fleets: What is configured.
        models: In force from the start, each for the fleet that its manifest names.
        directory: The state directory, which stays; without one there is one that goes with the daemon.
        now_s: Where the clock stands at first, Unix seconds.
        limits: Keys of `[loop]`.

    Attributes:
        broker: What the daemon is connected to; a test may take it down or cut it off.
        clock: Moves with `pass_time`, and by as much as the loop waits.
        core: The one that is shipped, between two rounds.

    Raises:
        AlreadyRunning: A daemon runs on that directory.
    """

    core: Core

    def __init__(
        self, *fleets: Fleet, models: Sequence[Model] = (), directory: Path | None = None, now_s: float = T0 / 1e9,
        **limits: Any,
    ) -> None:  # fmt: skip
        self.broker, self.clock = MemoryBroker(), Clock(round(now_s * 1e9))
        self._scratch = Path(tempfile.mkdtemp(prefix="gaugecast-")) if directory is None else None
        self._directory = directory or self._scratch or Path()
        storage, loop = Storage(directory=self._directory), Loop(**{"new_streams_per_s": 1e6, **limits})
        self._setup = Setup(fleets, loop, storage, Learning())
        self._directory.mkdir(parents=True, exist_ok=True)
        self._open()
        store = ModelStore(self._directory)
        for model in models:
            version = store.add(model.manifest.fleet, model)
            event = events.ModelInstalled("in_force", version, sha256=model.manifest.sha256, reason="test")
            self.core.order(Order(event, model.manifest.fleet))
        self._settle()

    @classmethod
    def from_config(cls, path: Path, **more: Any) -> Self:
        """Of the fleets and the limits of a configuration file; its directory and broker are left alone.

        Raises:
            ConfigError: The file is not a configuration.
        """
        settings = load_settings(path, {})
        return cls(*resolve_fleets(settings), **{**settings.loop.model_dump(exclude_unset=True), **more})

    def say(self, topic: str, content: object, *, now_s: float | None = None) -> list[Published]:
        """A sensor publishes; what the daemon publishes thereupon.

        Args:
            content: Bytes as they are; anything else is written as JSON.
            now_s: It is so late by then, Unix seconds: no clock goes back.
        """
        if now_s is not None:
            self.clock.advance(max(0.0, now_s - self.clock.wall() / 1e9))
        payload = content if isinstance(content, bytes) else msgspec.json.encode(content)
        self.broker.take(topic, payload)
        self._settle()
        return self.broker.take_published()

    def pass_time(self, seconds: float) -> list[Published]:
        """Nobody speaks for so long; what the daemon publishes thereupon."""
        self.clock.advance(seconds)
        self._settle()
        return self.broker.take_published()

    def restart(self) -> None:
        """End it in order, and begin again with what it has left."""
        self._end()
        self._open()
        self._settle()

    def close(self) -> None:
        """End it in order; a directory of its own is gone then."""
        self._end()
        if self._scratch is not None:
            shutil.rmtree(self._scratch, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- within

    def _open(self) -> None:
        self._lock = StateLock(self._directory)
        self._notes = CrashNote(self._directory)
        self.core = Core.open(self._setup, self._ports())
        take_orders(self.core)

    def _ports(self) -> Ports:
        storage, clock = self._setup.storage, self.clock

        def dial(_wanted: TopicFilters, _forget: Sequence[str], resumed: bool) -> MemoryLink:
            self._link = MemoryLink(self.broker, clock, resumed=resumed)
            return self._link

        ledger = Ledger.open(self._directory, storage)
        ports = real_ports(ledger, storage, self._notes, dial=dial)
        return replace(
            ports,
            writer=lambda: InlineCheckpointWriter(self._directory, storage, lambda: oldest_input(self._directory)),
            shipped=lambda _: None,
            wall=clock.wall,
            elapsed=clock.elapsed,
            monotonic=clock.monotonic,
        )

    def _settle(self) -> None:
        """Turn until all is taken and handed over; what is handed over last is confirmed with the next round."""
        take_orders(self.core)
        for _ in range(_MOST_ROUNDS):
            if not self.broker.up or (self.broker.idle and self.core.publisher.lag <= self._link.sender.unconfirmed):
                return
            self.core.turn()

    def _end(self) -> None:
        self.core.drain()
        self.core.close()
        self._notes.close()
        self._lock.release()
