"""History into the ledger, by the loop's own way: cut into chunks, each of which is an order; the daemon takes them
between two batches, and where none runs, the same core does without a broker.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from typing import NamedTuple

import numpy as np

from gaugecast import events
from gaugecast.config import Settings, resolve_fleets
from gaugecast.config.saying import id_fault
from gaugecast.control import LoadHistory
from gaugecast.engine.selftest import check_batch_independence
from gaugecast.errors import Defect, ModelError
from gaugecast.files import make_private
from gaugecast.fleet import Fleet
from gaugecast.history import StreamRows
from gaugecast.loop.core import Core, Setup
from gaugecast.loop.ports import Connected
from gaugecast.pipeline import past
from gaugecast.records import FIRST_NS, LAST_NS, Float64, Int64, Message, Order
from gaugecast.service.learning_mode import decide, settled
from gaugecast.service.opening import open_ledger
from gaugecast.service.world import real_ports
from gaugecast.storage.crash_note import CrashNote
from gaugecast.storage.lock import StateLock

#: Rows of a chunk, and bytes: as text they must fit into one request to the daemon.
MOST_ROWS, MOST_BYTES = 500, 40_000
#: A chunk ends where a row is far from the next, if it can: readings of one tick should not be torn apart.
_LOOSE = 0.2


class Chunk(NamedTuple):
    """Rows of one stream.

    Attributes:
        begins: They are its first ones: it must not have any step.
    """

    stream: str
    at_ns: Int64
    values: Float64
    begins: bool


def chunks_of(slices: Iterable[StreamRows]) -> Iterator[Chunk]:
    """The rows of all slices, stream by stream, each in order of time and each instant once."""
    whole: dict[str, list[StreamRows]] = {}
    for rows in slices:
        whole.setdefault(rows.stream, []).append(rows)
    for stream, parts in whole.items():
        at = np.concatenate([part.at for part in parts])
        values = np.concatenate([part.values for part in parts])
        order = np.argsort(at, kind="stable")
        at, values = at[order], values[order]
        kept = np.concatenate([[True], at[1:] > at[:-1]]) if len(at) else np.zeros(0, bool)
        at, values = at[kept], values[kept]
        begin = 0
        while begin < len(at):
            end = _end_of(at, begin, max(1, min(MOST_ROWS, MOST_BYTES // (8 * (1 + values.shape[1])))))
            yield Chunk(stream, at[begin:end], values[begin:end], begin == 0)
            begin = end


def _end_of(at: Int64, begin: int, most: int) -> int:
    """Where a chunk ends that begins there: before the widest gap among its last rows."""
    last = begin + most
    if last >= len(at):
        return len(at)
    first = last - int(most * _LOOSE)
    return first + int(np.argmax(np.diff(at[first - 1 : last + 1]))) if first > begin else last


def order_of(core: Core, fleet: str, chunk: Chunk, origin: str) -> Order:
    """The order that loads a chunk.

    Raises:
        ModelError: There is no such fleet, the stream has steps of its own, or these are no rows of it.
    """
    part, stream = core.roles.part(fleet), chunk.stream
    fault = id_fault(part.fleet, stream)
    if fault:
        raise ModelError(f"stream {stream!r}: {fault}")
    known = stream in part.table.slots
    if not past.is_open_to(part, stream) or (core.ledger.parked_state(fleet, stream) is not None and not known):
        raise ModelError(f"fleet {fleet}: {stream!r} has steps of its own; history is loaded before a stream speaks")
    if chunk.begins and known:
        raise ModelError(
            f"fleet {fleet}: {stream!r} has history that was loaded before; `streams forget` lets go of it"
        )
    if chunk.values.shape != (len(chunk.at_ns), len(part.fleet.features)) or not _is_sound(chunk.at_ns):
        raise ModelError(f"fleet {fleet}: {stream!r}: expected rows in order of time, a value for each feature")
    event = events.HistoryLoaded(past.names_of(part.fleet), origin)
    return Order(event, fleet, stream, past.pack(chunk.at_ns, chunk.values))


def request_of(fleet: Fleet, chunk: Chunk, origin: str) -> LoadHistory:
    """What a running daemon is asked to load."""
    rows = base64.b64encode(past.pack(chunk.at_ns, chunk.values)).decode()
    return LoadHistory(
        fleet=fleet.name, stream=chunk.stream, rows=rows, features=list(past.names_of(fleet)), begins=chunk.begins,
        origin=origin[-1024:],
    )  # fmt: skip


def order_of_request(core: Core, request: LoadHistory) -> Order:
    """As `order_of`, of what the daemon was asked to load.

    Raises:
        ModelError: As `order_of`; or the fleet has other features, or these are no rows.
    """
    fleet = core.roles.part(request.fleet).fleet
    if tuple(request.features) != past.names_of(fleet):
        raise ModelError(
            f"fleet {fleet.name} has the features {', '.join(past.names_of(fleet))} in the daemon that runs"
        )
    try:
        at_ns, values = past.unpack(base64.b64decode(request.rows, validate=True), len(fleet.features))
    except (binascii.Error, Defect) as exc:
        raise ModelError(f"fleet {fleet.name}: expected rows: {exc}") from exc
    return order_of(core, request.fleet, Chunk(request.stream, at_ns, values, request.begins), request.origin)


def _is_sound(at_ns: Int64) -> bool:
    rising = bool((np.diff(at_ns) > 0).all())
    return len(at_ns) > 0 and rising and int(at_ns[0]) >= FIRST_NS and int(at_ns[-1]) <= LAST_NS


@contextlib.contextmanager
def core_without_broker(settings: Settings) -> Iterator[Core]:
    """What forecasts, as the daemon has it, of a state directory where none runs; nothing is heard or published.

    Raises:
        AlreadyRunning: One runs.
        StorageError: The directory, the ledger or all checkpoints cannot be used.
    """
    check_batch_independence()
    directory, storage = settings.storage.directory, settings.storage
    with ExitStack() as held:
        make_private(directory)
        held.callback(StateLock(directory).release)
        notes = CrashNote(directory)
        held.callback(notes.close)
        learning = settled(settings.learning, decide(settings.learning))
        setup = Setup(resolve_fleets(settings), settings.loop, storage, learning)
        ledger = open_ledger(storage)
        core = Core.open(setup, real_ports(ledger, storage, notes, dial=lambda *_: _NoLink()))
        take_orders(core)
        yield core
        core.close()


def take_orders(core: Core) -> None:
    """Turn until all orders are in the ledger."""
    core.turn()
    while len(core.orders) or core.loop.holding:
        core.turn()


class _Counts:
    """Totals of a link that there is not."""

    reconnects_total = 0
    session_lost_total = 0


class _NoLink:
    """No broker: nobody is heard, nothing goes out, and nothing is waited for. Both sides of it in one."""

    connected = False
    epoch = 0
    last_error: str | None = "no broker is asked"
    deaf: str | None = None
    lowered: str | None = None
    unkept: str | None = None
    counters = _Counts()

    @property
    def subscriber(self) -> _NoLink:
        """Whoever hears."""
        return self

    @property
    def sender(self) -> _NoLink:
        """Whoever speaks."""
        return self

    def poll(self, most: int, wait_s: float, linger_s: float = 0.0) -> list[Message]:  # noqa: ARG002
        """Nothing came."""
        return []

    def close(self, drain_s: float = 0.0) -> None:
        """Nothing is open."""

    def room(self, qos: int = 1) -> int:  # noqa: ARG002
        """None."""
        return 0

    def publish(self, position: int, topic: str, body: bytes, qos: int, retain: bool) -> None:
        """Not asked for, as there is no room."""

    def publish_all(
        self, positions: Sequence[int], topics: Sequence[str], bodies: Sequence[bytes], *, qos: int, retain: bool
    ) -> None:
        """Not asked for, as there is no room."""

    def take_confirmed(self) -> list[int]:
        """None."""
        return []

    def take_refused(self) -> list[tuple[int, str]]:
        """None."""
        return []

    def take_connects(self) -> list[Connected]:
        """None."""
        return []

    def announce(self, text: str) -> None:
        """To nobody."""

    def ask(self, topic: str, body: bytes) -> None:
        """Nobody."""

    def ack(self, messages: Sequence[Message]) -> int:  # noqa: ARG002
        """There are none."""
        return 0

    def resubscribe(self, filters: Sequence[tuple[str, int]], *, retained: Sequence[str] = ()) -> None:
        """The daemon will, once it runs."""
