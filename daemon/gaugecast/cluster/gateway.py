"""The control socket of a cluster: whoever asks one daemon can ask all partitions, and need not know.

What concerns a stream goes to its partition, what concerns a fleet to all; questions are asked of all, and answered as
one daemon would.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import msgspec

from gaugecast.cluster.account import models_joined
from gaugecast.cluster.routing import Routing
from gaugecast.control import (
    FleetColumns,
    HandOver,
    LearnerReport,
    ModelsQuery,
    Rename,
    Request,
    StatusQuery,
    StreamRow,
    StreamsAnswer,
    StreamsQuery,
    TableAnswer,
    TableQuery,
)
from gaugecast.errors import CommandRefused, GaugecastError
from gaugecast.model.weights import MANIFEST_NAME, WEIGHTS_NAME
from gaugecast.status import Status
from gaugecast.storage.models import ModelStore

#: Asks one partition; the answer without `ok`. Raises `CommandRefused` or `Unreachable`.
AskOne = Callable[[int, msgspec.Struct], dict[str, Any]]
#: Gives one partition weights: the fleet, files by name, the role, why. Raises as `AskOne`.
GiveOne = Callable[[int, str, Mapping[str, bytes], str, str], None]


class Gateway:
    """One thread.

    Args:
        partitions: How many there are.
        directory: Where people put weights: `[storage] directory` of the first configuration file.
        ask: One partition.
        give: Weights to one.
        status: Of all, as one.
    """

    def __init__(
        self, partitions: int, directory: Path, *, ask: AskOne, give: GiveOne, status: Callable[[], Status]
    ) -> None:
        self._all, self._routing = range(partitions), Routing(partitions)
        self._store = ModelStore(directory)
        self._ask, self._give, self._status = ask, give, status

    def act(self, request: Request) -> msgspec.Struct | dict[str, Any] | None:
        """As `service.commands.Commands.act`.

        Raises:
            GaugecastError: It cannot be done, and why.
        """
        match request:
            case StatusQuery():
                return self._status()
            case StreamsQuery():
                return self._streams(request)
            case TableQuery():
                return self._table(request)
            case ModelsQuery():
                return models_joined([self._ask(number, request) for number in self._all])
            case HandOver():
                self._hand_over(request)
                return None
            case LearnerReport():
                raise CommandRefused("a cluster has learners of its own, and hears no other")
            case Rename():
                self._check_rename(request)
        stream = getattr(request, "stream", "")
        if stream:
            return self._ask(self._routing.partition_of(request.fleet, stream), request)
        self._ask_all(lambda number: self._ask(number, request))
        return None

    # -- questions

    def _streams(self, query: StreamsQuery) -> StreamsAnswer:
        """Sorted as one daemon does: by fleet and name."""
        asked: Sequence[int] = self._all
        if query.stream is not None and query.fleet is not None:
            asked = [self._routing.partition_of(query.fleet, query.stream)]
        wide = msgspec.structs.replace(query, offset=0, limit=query.offset + query.limit)
        answers = [msgspec.convert(self._ask(number, wide), StreamsAnswer) for number in asked]
        rows = sorted((row for one in answers for row in one.rows), key=_name)
        streams = [list(group) for _, group in groupby(rows, _name)][query.offset : query.offset + query.limit]
        total = sum(one.total for one in answers)
        return StreamsAnswer(rows=[row for one in streams for row in one], total=total, status=self._status())

    def _table(self, query: TableQuery) -> TableAnswer:
        """Partition by partition, and in each as it says."""
        fleets: dict[str, FleetColumns] = {}
        before, end = 0, query.offset + query.limit
        for number in self._all:
            many = max(1, min(2000, end - max(query.offset, before)))
            left = TableQuery(offset=max(0, query.offset - before), limit=many)
            answer = msgspec.convert(self._ask(number, left), TableAnswer)
            if end > before:
                for one in answer.fleets:
                    fleets[one.fleet] = _appended(fleets[one.fleet], one) if one.fleet in fleets else one
            before += answer.total
        return TableAnswer(fleets=list(fleets.values()), total=before)

    # -- orders

    def _hand_over(self, request: HandOver) -> None:
        """Weights that somebody put into our directory go to all partitions."""
        place = self._store.place(request.fleet, request.version)
        try:
            files = {name: (place / name).read_bytes() for name in (WEIGHTS_NAME, MANIFEST_NAME)}
        except OSError as exc:
            raise CommandRefused(f"weights {request.version} of fleet {request.fleet!r} expected: {exc}") from exc
        self._ask_all(lambda number: self._give(number, request.fleet, files, request.role, request.reason))

    def _ask_all(self, ask: Callable[[int], object]) -> None:
        """All of them; refused where all refuse, for a partition may have nothing of what is meant.

        Raises:
            CommandRefused: Why none will.
            Unreachable: Some have done it, and one does not answer: it is about to be replaced.
        """
        refused = []
        for number in self._all:
            try:
                ask(number)
            except CommandRefused as exc:
                refused.append(exc)
        if len(refused) == len(self._all):
            raise refused[0]

    def _check_rename(self, request: Rename) -> None:
        here, there = (self._routing.partition_of(request.fleet, name) for name in (request.stream, request.to))
        if here != there:
            raise CommandRefused(
                f"a stream belongs to a partition by its name, and {request.to!r} to another than {request.stream!r}: "
                "in a cluster it can only begin anew under that name"
            )


def act_on(gateway: Gateway, request: Request) -> msgspec.Struct | dict[str, Any] | str | None:
    """The answer, or as text why there is none."""
    try:
        return gateway.act(request)
    except GaugecastError as exc:
        return str(exc)


def _name(row: StreamRow) -> tuple[str, str]:
    return row.fleet, row.stream


def _appended(columns: FleetColumns, more: FleetColumns) -> FleetColumns:
    """The streams of both."""
    return msgspec.structs.replace(columns, **{name: _both(columns, more, name) for name in columns.__struct_fields__})


def _both(one: Any, other: Any, name: str) -> Any:
    mine, theirs = getattr(one, name), getattr(other, name)
    if not isinstance(mine, list):
        return mine
    if mine and isinstance(mine[0], msgspec.Struct):  # features and thresholds: the same in both, their columns longer
        return [
            msgspec.structs.replace(a, **{field: _both(a, b, field) for field in a.__struct_fields__})
            for a, b in zip(mine, theirs, strict=True)
        ]
    return mine + theirs
