"""Batches on their way from an ingest to a partition: as columns in bytes, and in which order they are taken."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from gaugecast.batch import Inputs
from gaugecast.cluster.routing import Piece
from gaugecast.errors import Defect
from gaugecast.records import Kind, Refused

#: A position is the token of its ingest's lease, and the number of the batch under it: both only grow.
_NUMBERS = 32


class Batch(NamedTuple):
    """What an ingest sends to one partition, and sends again until it is committed.

    Attributes:
        ingest: Its name.
        token: Of its lease: a later process of that name has a higher one.
        number: From 1 under each token; one more with each batch.
        content: Packed.
        session_lost: The broker had forgotten the session before these came.
        again: It may have been sent before.
    """

    ingest: str
    token: int
    number: int
    content: bytes
    session_lost: bool = False
    again: bool = False

    @property
    def position(self) -> int:
        """Where it stands among all batches of its ingest."""
        return position_of(self.token, self.number)


def position_of(token: int, number: int) -> int:
    """One integer that grows with the token, and within it with the number."""
    return token << _NUMBERS | number


class Order(enum.Enum):
    """What is to be done with a batch that comes."""

    TAKE = "take"
    HAVE = "have"  # it was taken before: the answer is what became of it
    STALE = "stale"  # a later process of that name has sent something already
    GAP = "gap"  # one before it is missing, or it is an old one


def judge(taken: int, token: int, number: int) -> Order:
    """What to do with batch `number` of the ingest with `token`.

    Args:
        taken: Position of the last batch of that ingest that was taken; 0 = none ever was.
    """
    known, last = taken >> _NUMBERS, taken & ((1 << _NUMBERS) - 1)
    if token < known:
        return Order.STALE
    if token > known:
        known, last = token, 0
    if number == last:
        return Order.HAVE
    return Order.TAKE if number == last + 1 else Order.GAP


def pack(pieces: Iterable[Piece]) -> bytes:
    """Pieces for one partition, one behind the other."""
    inputs, refused = Inputs(), list[Refused]()
    for piece in pieces:
        inputs.extend(piece.inputs)
        refused += piece.refused
    if any(event is not None for event in inputs.event):
        raise Defect("expected readings and rejects, got an event: those come about in partitions")
    *columns, _events = inputs.columns
    columns[0] = list(map(int, columns[0]))
    return msgspec.msgpack.encode((columns, refused))


def unpack(content: bytes, received_at_ns: int) -> Piece:
    """What was packed, stamped by who takes it: there time never goes back, whatever the clocks of ingests say."""
    columns, refused = msgspec.msgpack.decode(content)
    kinds = {int(kind): kind for kind in Kind}
    columns[0] = [kinds[number] for number in columns[0]]
    rows = len(columns[0])
    inputs = Inputs(*columns, [None] * rows)
    inputs.received_at_ns = [received_at_ns] * rows
    return Piece(inputs, [Refused(*row)._replace(received_at_ns=received_at_ns) for row in refused])
