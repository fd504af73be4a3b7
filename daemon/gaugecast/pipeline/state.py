"""The state of a pipeline, taken out and put back: all that has a bearing on later results. A checkpoint holds it.

Small things go into a header (JSON-able); columns go as slices, copied while the loop goes on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Iterator
from typing import Any

import msgspec
import numpy as np

from gaugecast import events
from gaugecast.errors import StorageError
from gaugecast.fleet import Fleet
from gaugecast.forecast.message import FIRST_SCHEMA
from gaugecast.pipeline import looking
from gaugecast.pipeline.anomalies import ANOMALY
from gaugecast.pipeline.batch_result import Totals
from gaugecast.pipeline.fleet_pipeline import FleetPipeline
from gaugecast.pipeline.intake import Deliveries
from gaugecast.pipeline.look_ahead import LEARNED_AHEAD
from gaugecast.pipeline.pipeline import Pipeline
from gaugecast.pipeline.rebuilding import REBUILT
from gaugecast.streams.snapshot import Slice, Snapshot

#: Raised when a column's meaning changes; an older checkpoint is then passed over and the ledger replayed.
STATE_VERSION = 2
_NAMES = "names"
_LEARNED = (*LEARNED_AHEAD, ANOMALY, REBUILT)


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
        "birth": [pipeline.births.tokens, pipeline.births.at_ns],
        "steps": pipeline.steps.to_text(),
        "clock_ahead_ns": pipeline.clock_ahead_ns,
        "lineage": pipeline.lineage,
        "schema": pipeline.schema,
        "fleets": {name: _part_header(part) for name, part in pipeline.parts.items()},
    }
    names = [
        Slice(f"{name}/{_NAMES}", 0, np.frombuffer(msgspec.json.encode(part.table.names), np.uint8))
        for name, part in pipeline.parts.items()
    ]
    pipeline.snapshot = Snapshot(
        {name: part.tables() for name, part in pipeline.parts.items()},
        {name: part.table.used for name, part in pipeline.parts.items()},
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
    pipeline.births.tokens, pipeline.births.at_ns = header["birth"]
    pipeline.steps.restore(header.get("steps", "{}"))  # checkpoints of 0.1.0 have neither
    pipeline.clock_ahead_ns = header.get("clock_ahead_ns", 0)
    pipeline.lineage, pipeline.schema = header.get("lineage", ""), header.get("schema", FIRST_SCHEMA)
    for name, entry in header["fleets"].items():
        pipeline.parts[name] = _restore_part(pipeline, entry)
    filled, unfit = set[str](), set[str]()
    for name, start, rows in slices:
        (filled if _restore_slice(pipeline, name, start, rows) else unfit).add(name)
    _begin_unfilled(pipeline, filled, unfit=unfit)


def _part_header(part: FleetPipeline) -> dict[str, object]:
    return {
        "spec": part.fleet.to_json(),
        "models": looking.versions_of(part),
        "totals": part.totals.as_list(),
    }


def _restore_part(pipeline: Pipeline, entry: dict[str, Any]) -> FleetPipeline:
    part = pipeline.new_part(Fleet.from_json(entry["spec"]))
    for role, version in entry["models"].items():
        looking.install(part, role, pipeline.load_model(part.fleet.name, version))
    part.totals.add(Totals(*entry["totals"]))  # what an older checkpoint did not count yet is 0
    return part


def _restore_slice(pipeline: Pipeline, name: str, start: int, rows: Any) -> bool:
    """Fill in rows of a column; False where another version laid out otherwise what it had learned."""
    fleet, _, rest = name.partition("/")
    part = pipeline.parts[fleet]
    if rest == _NAMES:
        part.table.restore_names(msgspec.json.decode(bytes(rows), type=list[str | None]))
        return True
    table, _, column = rest.partition("/")
    columns = part.tables().get(table)
    if columns is None:  # of a model whose weights are lost
        return False
    known = dict(columns)
    if table in _LEARNED and (column not in known or known[column].shape[1:] != rows.shape[1:]):
        return False
    columns[column][start : start + len(rows)] = rows
    return True


def _begin_unfilled(pipeline: Pipeline, filled: Container[str], *, unfit: Container[str]) -> None:
    """What is learned begins anew where a column of it was not filled, and the streams go on.

    Limits of anomalies do not where an older checkpoint merely lacks the column: a fault that is under way would be
    learned as usual.
    """
    for fleet, part in pipeline.parts.items():
        for table, columns in part.tables().items():
            names = [f"{fleet}/{table}/{column}" for column, _ in columns]
            unfilled = [name for name in names if name not in filled and (table != ANOMALY or name in unfit)]
            if table in _LEARNED and unfilled:
                columns.clear(slice(None))
