"""Everything of a pipeline that influences a later output, out of it and back: what a checkpoint holds.

Small things go into a header (JSON-able); columns go as slices, copied while the loop goes on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import fields
from typing import Any

import msgspec
import numpy as np

from gaugecast.errors import StorageError
from gaugecast.fleet import Fleet
from gaugecast.pipeline import events
from gaugecast.pipeline.intake import Deliveries
from gaugecast.pipeline.lane import Lane
from gaugecast.pipeline.made import Totals
from gaugecast.pipeline.pipeline import Pipeline
from gaugecast.streams.snapshot import Slice, Snapshot

#: Raised when a column's meaning changes; an older checkpoint is then passed over and the ledger replayed.
STATE_VERSION = 2
_NAMES = "names"


def begin_snapshot(pipeline: Pipeline) -> tuple[dict[str, object], list[Slice]]:
    """Begin a copy of the state as it is now.

    Returns the header and the slices that are due at once (stream names); `take_slices` gives the others. Until
    the last is taken, `pipeline` sets rows aside before it changes them.
    """
    header: dict[str, object] = {
        "state_version": STATE_VERSION,
        "rejects": [[fleet, reason, count] for (fleet, reason), count in sorted(pipeline.rejects.items())],
        "deliveries": pipeline.deliveries.as_list(),
        "limits": msgspec.to_builtins(pipeline.limits) if pipeline.limits_told else None,
        "birth": [pipeline.birth_tokens, pipeline.birth_at_ns],
        "fleets": {name: _lane_header(lane) for name, lane in pipeline.lanes.items()},
    }
    names = [
        Slice(f"{name}/{_NAMES}", 0, np.frombuffer(msgspec.json.encode(lane.table.names), np.uint8))
        for name, lane in pipeline.lanes.items()
    ]
    pipeline.snapshot = Snapshot(
        {name: lane.tables() for name, lane in pipeline.lanes.items()},
        {name: lane.table.used for name, lane in pipeline.lanes.items()},
    )
    return header, names


def take_slices(pipeline: Pipeline, budget_bytes: int) -> Iterator[Slice]:
    """Copy about `budget_bytes` more; the snapshot ends with its last slice."""
    if pipeline.snapshot is None:
        return
    yield from pipeline.snapshot.take(budget_bytes)
    if pipeline.snapshot.done:
        pipeline.snapshot = None


def restore(pipeline: Pipeline, header: dict[str, Any], slices: Iterable[Slice]) -> None:
    """Put an empty pipeline into the state of a checkpoint.

    Raises:
        StorageError: The checkpoint is of another version of the state, or names what this version does not know.
    """
    if header.get("state_version") != STATE_VERSION:
        raise StorageError(f"a checkpoint of state version {STATE_VERSION} expected, got {header.get('state_version')}")
    try:
        _restore(pipeline, header, slices)
    except (KeyError, TypeError, ValueError) as exc:
        raise StorageError(f"a checkpoint of this version's settings, totals and columns expected: {exc!r}") from exc


def _restore(pipeline: Pipeline, header: dict[str, Any], slices: Iterable[Slice]) -> None:
    pipeline.rejects = Counter({(fleet, reason): count for fleet, reason, count in header["rejects"]})
    pipeline.deliveries = Deliveries(header["deliveries"])
    if header["limits"] is not None:
        pipeline.set_limits(msgspec.convert(header["limits"], events.LimitsSet))
    pipeline.birth_tokens, pipeline.birth_at_ns = header["birth"]
    for name, entry in header["fleets"].items():
        pipeline.lanes[name] = _restore_lane(pipeline, entry)
    for name, start, rows in slices:
        _restore_slice(pipeline, name, start, rows)


def _lane_header(lane: Lane) -> dict[str, object]:
    return {
        "spec": lane.fleet.to_json(),
        "models": {role: expert.version for role, expert in lane.experts.items()},
        "totals": lane.totals.as_list(),
    }


def _restore_lane(pipeline: Pipeline, entry: dict[str, Any]) -> Lane:
    lane = pipeline.new_lane(Fleet.from_json(entry["spec"]))
    for role, version in entry["models"].items():
        lane.install(role, pipeline.load_model(lane.fleet.name, version))
    for field, count in zip(fields(Totals), entry["totals"], strict=True):
        setattr(lane.totals, field.name, count)
    return lane


def _restore_slice(pipeline: Pipeline, name: str, start: int, rows: Any) -> None:
    fleet, _, rest = name.partition("/")
    lane = pipeline.lanes[fleet]
    if rest == _NAMES:
        lane.table.restore_names(msgspec.json.decode(bytes(rows), type=list[str | None]))
        return
    table, _, column = rest.partition("/")
    columns = lane.tables().get(table)
    if columns is not None:  # else of a model whose weights are lost
        columns[column][start : start + len(rows)] = rows
