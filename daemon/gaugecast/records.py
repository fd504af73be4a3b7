"""The values that travel between the parts: messages, inputs, outputs, and what one `advance` made of them.

Instants are integers in nanoseconds since 1970-01-01 UTC (`*_ns`), so that no reading's key is ever rounded.
The records that pass once a message are named tuples: a frozen dataclass costs 1 µs more to make, and a
tuple goes into SQLite as it is.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from gaugecast.events import Event, FleetConfigured
from gaugecast.fleet import Fleet

Float64 = npt.NDArray[np.float64]
Float32 = npt.NDArray[np.float32]
Int64 = npt.NDArray[np.int64]
Bool = npt.NDArray[np.bool_]


#: Event times lie between these, 1830 and 2110: any two are less than 2⁶³ ns apart, with room for forecasts.
FIRST_NS = -4_417_977_600 * 10**9
LAST_NS = 4_417_977_600 * 10**9


class Message(NamedTuple):
    """One MQTT PUBLISH as it came.

    Attributes:
        epoch: Number of the connection that brought it. An ack is valid on that connection only.
        mid: MQTT packet id; 0 at QoS 0.
        dup: The broker says that it may have sent this before.
    """

    topic: str
    payload: bytes
    qos: int
    dup: bool
    retain: bool
    mid: int
    epoch: int


class Kind(enum.IntEnum):
    """What an input is; stored in the ledger's column `kind`."""

    READING = 0
    TIMER = 1
    EVENT = 2
    REJECT = 3
    CUT = 4  # a batch of forecasts ends, where a fleet says them by the batch


class Verdict(enum.IntEnum):
    """What became of a reading. Each reading has exactly one; stored in the ledger's column `verdict`."""

    STEPPED = 0
    HELD = 1  # waits in its tick for the other features
    LATE = 2  # its tick is closed already
    DUPLICATE = 3  # the same event time (or sequence number, or delivery) was taken before
    REJECTED = 4  # `detail` says why, from REJECT_REASONS
    NONE = 5  # timers and events have no verdict
    SAME_PERIOD = 6  # its stream has had its step in the period that it is of


#: Why a reading or a whole message is refused: the closed set that labels `gaugecast_readings_total`.
REJECT_REASONS = (
    "too_large",  # payload above `max_payload_bytes`
    "not_utf8",
    "not_json",
    "not_a_number",
    "not_finite",
    "wrong_type",  # a path leads to something that is not a number, a text, …
    "missing_field",  # the time, sequence, or a stream's name is absent
    "no_features",  # none of the fleet's features; in ledgers of old
    "too_many_readings",  # an array above `max_readings`
    "bad_time",
    "bad_stream",  # id empty, over 256 bytes, or its output topic is none that a broker takes
    "unknown_topic",  # no fleet's pattern matches
    "retained",
    "far_future",
    "out_of_range",  # every feature lies outside its `valid` range
    "too_many_streams",
    "two_topics",  # another topic brings the same feature of the same stream
    "malformed",  # not in the format that `payload` names
    "stream_rate",  # streams come into being faster than allowed
    "poison",  # three processes died on it
)


class Input(NamedTuple):
    """One row of the ledger's `inputs`: whatever bears on results, in the order in which it was taken.

    Attributes:
        fleet: Name of the fleet; empty for timers.
        stream: Stream id; empty for timers and for events of a whole fleet.
        at_ns: Event time of a reading.
        received_at_ns: When the poll that brought it returned; decreases from row to row only where an event
            (`ClockStepped`) says by how much.
        values: `F` little-endian float64, one a feature in the fleet's order, NaN = absent; empty if not a reading.
        key: Event time or sequence number that tells one reading from the next; meaningless if `delivery`.
            Of a timer whether we were listening; of a cut the ledger's number of the first input of its batch.
        delivery: 64-bit hash of packet id, topic and payload where a payload has neither time nor sequence
            and came at QoS 1; else 0.
        dup: The message carried the DUP flag.
        reason: Why a reject was refused, from `REJECT_REASONS`; of a reading the sequence that it names, where its
            fleet has `begins`; else empty.
        event: What an event row says; `None` in all other rows. The ledger writes it as JSON, and nobody else.
    """

    kind: Kind
    fleet: str
    stream: str
    at_ns: int
    received_at_ns: int
    values: bytes
    key: int
    delivery: int
    dup: bool
    reason: str = ""
    event: Event | None = None

    @classmethod
    def reading(
        cls, fleet: str, stream: str, at_ns: int, received_at_ns: int, values: bytes, *, key: int | None = None,
        delivery: int = 0, dup: bool = False,
    ) -> Input:  # fmt: skip
        """What a sensor said; `key` is the event time where no other is given."""
        key = at_ns if key is None else key
        return cls(Kind.READING, fleet, stream, at_ns, received_at_ns, values, key, delivery, dup)

    @classmethod
    def reject(cls, reason: str, received_at_ns: int, *, fleet: str = "", stream: str = "", dup: bool = False) -> Input:
        """A reading, or a whole message, that was refused before it could be taken."""
        return cls(Kind.REJECT, fleet, stream, received_at_ns, received_at_ns, b"", 0, 0, dup, reason)

    @classmethod
    def timer(cls, received_at_ns: int, *, listening: bool = True) -> Input:
        """It is now so late; `listening`: what the sensors had to say until now has been heard."""
        return cls(Kind.TIMER, "", "", received_at_ns, received_at_ns, b"", int(listening), 0, False)

    @classmethod
    def cut(cls, received_at_ns: int, *, first_seq: int) -> Input:
        """Here a batch ends that began with this input: it bears on what stands in one message."""
        return cls(Kind.CUT, "", "", received_at_ns, received_at_ns, b"", first_seq, 0, False)

    @property
    def listening(self) -> bool:
        """Of a timer: whether silence is the sensors' and not ours; those of older ledgers do not say so."""
        return self.key != 0


class Order(NamedTuple):
    """An event that is to be taken; it has no time until it is.

    Attributes:
        fleet, stream: Whom it concerns; empty = all.
        state: Bytes that belong to it: of a stream that comes back, of a newcomer's memory.
    """

    event: Event
    fleet: str = ""
    stream: str = ""
    state: bytes = b""

    @classmethod
    def configuring(cls, fleet: Fleet) -> Order:
        """The order that puts a fleet's configuration in force."""
        return cls(FleetConfigured(fleet.to_json(), fleet.digest()), fleet.name)

    def stamped(self, received_at_ns: int) -> Input:
        """The input that it becomes when it is taken. The only place where event rows are made."""
        at = received_at_ns
        return Input(Kind.EVENT, self.fleet, self.stream, at, at, self.state, 0, 0, False, "", self.event)


class Output(NamedTuple):
    """One row of the ledger's `outputs`: one message, made by the input at `cause` of its batch.

    Attributes:
        cause: Position in the batch of the input that made it. The ledger turns it into `seq`.
        stream: Empty of a message that has a batch's forecasts of all streams.
        step: The stream's step number; (stream, step, topic) names this message for ever. Of a batch its first input.
        forecast: `H·F` little-endian float64 (horizon-major), in the sensors' units; H as in `Fleet.ahead`. Of several
            messages of one step the first has it.
        topic: Where to publish.
        body: The exact bytes to publish.
        retain: Publish with the RETAIN flag.
        qos: 0 or 1.
    """

    cause: int
    fleet: str
    stream: str
    step: int
    forecast: bytes
    topic: str
    body: bytes
    retain: bool
    qos: int


class Refused(NamedTuple):
    """One row for the bounded quarantine table: a message, or part of one, that was not stepped."""

    received_at_ns: int
    fleet: str
    stream: str
    topic: str
    reason: str
    detail: str
    head: bytes  # the payload's first bytes, at most 256


class Parked(NamedTuple):
    """A stream that was idle for long: its whole state, to be kept in the ledger until it speaks again."""

    fleet: str
    stream: str
    state: bytes


@dataclass(frozen=True, slots=True)
class Commit:
    """All that one transaction of the ledger makes durable: a micro-batch, what became of it, and what was published.

    Attributes:
        verdicts: One `Verdict` an input.
        outputs: In the order of the inputs that made them.
        refused: Rows for the quarantine table.
        parked, unparked: Streams that were put aside, with their states, and (fleet, stream) of those that came back.
        confirmed: All outputs up to this position need not be published again. Never goes back. `None` = as before.
        refused_outputs: (position, reason) of outputs to move out of the queue into `refused_outputs`.
        told: Those of the outputs that tell of crossings and anomalies: their bodies are kept for who looks back.
        redelivered: Positions to take out of `refused_outputs`, since they were delivered after all.
    """

    inputs: Sequence[Input] = ()
    verdicts: Sequence[int] = ()
    outputs: Sequence[Output] = ()
    refused: Sequence[Refused] = ()
    parked: Sequence[Parked] = ()
    unparked: Sequence[tuple[str, str]] = ()
    confirmed: int | None = None
    refused_outputs: Sequence[tuple[int, str]] = ()
    redelivered: Sequence[int] = ()
    told: Sequence[Output] = ()
