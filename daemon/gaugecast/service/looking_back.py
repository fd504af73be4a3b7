"""A stream's steps once more, from a checkpoint before them: what was forecast then, also what was not kept of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

import numpy as np

from gaugecast.batch import Inputs
from gaugecast.config.schema import Loop
from gaugecast.console.looking_back import MOST_STEPS, Again
from gaugecast.control import StreamsQuery
from gaugecast.control.answers import StreamRow
from gaugecast.errors import WrongUse
from gaugecast.ledger.reads import Reader
from gaugecast.loop.recovery import restore_newest
from gaugecast.pipeline import Pipeline
from gaugecast.pipeline.batch_result import Outcome
from gaugecast.records import LAST_NS, Kind
from gaugecast.service.opening import open_models, open_reader
from gaugecast.service.reports import stream_rows
from gaugecast.storage import checkpoints

#: Inputs of all streams between the checkpoint and the last step: seconds of reading. Of these the stream's own: each
#: is a step, of a millisecond or some.
MOST_INPUTS, MOST_OWN = 300_000, 10_000


#: Seq of the first input, and the stream's own inputs with their places behind it.
_Batch = tuple[int, list[tuple[int, Inputs]]]


class _Wanted(NamedTuple):
    """Seqs of the first and of the last reading, and CRC-32s of what was published, by step."""

    first: int
    last: int
    crcs: dict[int, int]


class LookingBack:
    """Steps of single streams again. The rest of the fleet is left out: no forecast depends on other streams.

    Args:
        directory: Of a daemon that runs or does not; it is only read.
        limits: As the daemon has them.
    """

    def __init__(self, directory: Path, limits: Loop) -> None:
        self._directory, self._limits = directory, limits

    def __call__(self, fleet: str, stream: str, from_ns: int, to_ns: int) -> Again:
        """The newest `MOST_STEPS` steps between two event times; where there is none, the last one before.

        Raises:
            WrongUse: No checkpoint is kept from which that is not too far.
            StorageError: The ledger cannot be read.
        """
        with open_reader(self._directory) as ledger:
            wanted = _find(ledger, fleet, stream, from_ns, to_ns)
            if wanted is None:
                return Again([], 0)
            pipeline, seq, _ = restore_newest(
                self._directory, self._new_pipeline, upto_seq=wanted.first - 1, choose=checkpoints.at_or_before
            )
            if seq + 1 < ledger.first_seq:
                raise WrongUse("no checkpoint of that time is kept any more, from which it could be computed again")
            if wanted.last - seq > MOST_INPUTS:
                raise _too_far(wanted.last - seq, MOST_INPUTS, "inputs", seq)
            own = _bounded(_own(ledger, seq, wanted.last, _query(fleet, stream)), seq)
            return _again(pipeline, own, wanted=wanted, query=_query(fleet, stream))

    def _new_pipeline(self) -> Pipeline:
        return Pipeline(self._limits, open_models(self._directory).load)


def _bounded(batches: Iterator[_Batch], seq: int) -> list[_Batch]:
    """All of them; they are counted before the first is stepped."""
    found: list[_Batch] = []
    count = 0
    for batch in batches:
        found.append(batch)
        count += len(batch[1])
        if count > MOST_OWN:
            raise _too_far(count, MOST_OWN, "steps", seq)
    return found


def _too_far(count: int, most: int, what: str, seq: int) -> WrongUse:
    return WrongUse(
        f"the last checkpoint before is {count:,} {what} away, more than {most:,}; "
        f"`gaugecast replay --at {seq} --out FILE` computes all messages since then"
    )


def _query(fleet: str, stream: str) -> StreamsQuery:
    return StreamsQuery(fleet=fleet, stream=stream, limit=1, ahead=True)


def _find(ledger: Reader, fleet: str, stream: str, from_ns: int, to_ns: int) -> _Wanted | None:
    """By the stream's own history; a stretch without a reading ends with the last before it."""
    to_ns = min(to_ns, LAST_NS)
    page = next(ledger.history(fleet, stream, from_ns=from_ns, to_ns=to_ns + 1, most=MOST_STEPS), None)
    if page is None or not len(page.readings):
        page = next(ledger.history(fleet, stream, to_ns=to_ns + 1, most=1), None)
    if page is None or not len(page.readings):
        return None
    made = page.outputs.kinds == 0
    crcs = dict(zip(page.outputs.steps[made].tolist(), page.outputs.body_crcs[made].tolist(), strict=True))
    return _Wanted(int(np.min(page.readings.seqs)), int(np.max(page.readings.seqs)), crcs)


def _again(pipeline: Pipeline, own: list[_Batch], *, wanted: _Wanted, query: StreamsQuery) -> Again:
    steps: list[list[StreamRow]] = []
    differing = 0
    for first, inputs in own:
        for begin, part in _cut(inputs, wanted.first - first):
            outcome = pipeline.advance(part)
            if begin < wanted.first - first:
                continue
            rows, _ = stream_rows(pipeline, query)
            if rows and (not steps or steps[-1][0].step != rows[0].step):
                steps.append(rows)
                differing += _differs(outcome, query, wanted.crcs)
    return Again(steps, differing)


def _own(ledger: Reader, seq: int, last: int, query: StreamsQuery) -> Iterator[_Batch]:
    """Batches of what bears on the stream."""
    for batch in ledger.replay(seq, upto_seq=last):
        columns = zip(batch.inputs.kind, batch.inputs.fleet, batch.inputs.stream, strict=True)
        places = [i for i, row in enumerate(columns) if _bears(*row, query)]
        if places:
            yield batch.first_seq, [(place, batch.inputs.reordered([place])) for place in places]


def _bears(kind: Kind, fleet: str, stream: str, query: StreamsQuery) -> bool:
    """Readings of the stream, events of it or of all, and the time."""
    if kind in (Kind.TIMER, Kind.EVENT):
        return fleet in ("", query.fleet) and stream in ("", query.stream)
    return kind in (Kind.READING, Kind.REJECT) and fleet == query.fleet and stream == query.stream


def _cut(inputs: list[tuple[int, Inputs]], border: int) -> Iterator[tuple[int, Inputs]]:
    """Those before the border at once, the others one by one."""
    before = [one for place, one in inputs if place < border]
    if before:
        yield -1, Inputs.of([row for one in before for row in one])
    yield from ((place, one) for place, one in inputs if place >= border)


def _differs(outcome: Outcome, query: StreamsQuery, crcs: dict[int, int]) -> bool:
    """Whether a forecast of the stream is another than was published."""
    return any(
        crcs.get(one.step) not in (None, crc32(one.body))
        for one in outcome.outputs
        if one.forecast and one.stream == query.stream and one.fleet == query.fleet
    )
