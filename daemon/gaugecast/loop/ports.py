"""What the loop needs of the edges. The simulation provides its own: a broker and a disk that fail on command."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from gaugecast.ledger.rows import Committed
from gaugecast.model import Model
from gaugecast.payloads import Decoded
from gaugecast.records import Commit, Message
from gaugecast.storage.checkpoint_format import Chunk


class PublishLink(Protocol):
    """What the publisher needs of `mqtt.Link`; the simulation has one of its own."""

    connected: bool

    def room(self, qos: int = 1) -> int: ...
    def publish(self, position: int, topic: str, body: bytes, qos: int, retain: bool) -> None: ...
    def take_confirmed(self) -> list[int]: ...
    def take_refused(self) -> list[tuple[int, str]]: ...


class StoredMessage(Protocol):
    """What is needed of a row of the outbox."""

    @property
    def position(self) -> int: ...
    @property
    def topic(self) -> str: ...
    @property
    def body(self) -> bytes: ...
    @property
    def qos(self) -> int: ...
    @property
    def retain(self) -> bool: ...


class RefusedMessage(StoredMessage, Protocol):
    """What is needed of a row of the table of refused outputs."""

    @property
    def reason(self) -> str: ...


class Outbox(Protocol):
    """What the publisher needs of the ledger."""

    @property
    def confirmed(self) -> int: ...
    @property
    def last_position(self) -> int: ...
    def pending(self, after: int, most: int) -> Sequence[StoredMessage]: ...
    def refused_outputs(self, after: int, most: int) -> Sequence[RefusedMessage]: ...


class LoopLink(PublishLink, Protocol):
    """What the loop needs of `mqtt.Link`."""

    def poll(self, most: int, wait_s: float, linger_s: float = 0.0) -> list[Message]: ...
    def ack(self, messages: Sequence[Message]) -> int: ...
    def take_connects(self) -> Sequence[Connected]: ...


class Ended(Protocol):
    """How a session ended; see `mqtt.SessionEnd`."""

    @property
    def lived_s(self) -> float: ...
    @property
    def how(self) -> str: ...
    @property
    def since_publish_s(self) -> float | None: ...


class Connected(Protocol):
    """A connection was made; how the one before it ended."""

    @property
    def session_present(self) -> bool: ...
    @property
    def ended(self) -> Ended | None: ...


class Notes(Protocol):
    """What caution needs of `storage.crash_note.CrashNote`."""

    @property
    def found(self) -> bytes: ...
    def note(self, content: bytes) -> None: ...
    def clear(self) -> None: ...


class LoopLedger(Outbox, Protocol):
    """What the loop needs of `ledger.Ledger`."""

    def commit(self, commit: Commit) -> Committed: ...
    def parked_count(self) -> int: ...
    def parked_state(self, fleet: str, stream: str) -> bytes | None: ...


class Models(Protocol):
    """What is needed of `storage.models.ModelStore`."""

    def load(self, fleet: str, version: str) -> Model: ...
    def add(self, fleet: str, model: Model) -> str: ...
    def touch(self, fleet: str, version: str) -> None: ...


class Decodes(Protocol):
    """What the loop needs of `payloads.Decoder`."""

    def decode(self, messages: Sequence[Message], received_at_ns: int) -> Decoded: ...


class Writer(Protocol):
    """What is needed of a checkpoint writer; see `ledger.checkpoint_writer`."""

    @property
    def busy(self) -> bool: ...
    def begin(self, seq: int, header: dict[str, object]) -> None: ...
    def put(self, chunk: Chunk, *, timeout_s: float = 0.0) -> bool: ...
    def finish(self) -> None: ...
    def abandon(self) -> None: ...
