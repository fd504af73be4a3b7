"""History of any length put on disk, on its ticks: from CSV and Parquet files, and from the daemon's ledger."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from gaugecast.errors import ConfigError
from gaugecast.fleet import Fleet
from gaugecast.history import FileColumns, StreamRows, read_slices
from gaugecast.learn.history.ledger_rows import ledger_slices
from gaugecast.learn.history.recording import Recording


def record(
    paths: Sequence[Path],
    fleet: Fleet,
    columns: FileColumns,
    directory: Path,
    *,
    bridge: int = 0,
    tick: Callable[[int], None] | None = None,
) -> Recording:
    """Read all `paths` into a recording under `directory`.

    Args:
        paths: Files, each a stream unless a column names it; a directory is a state directory with a ledger.
        fleet: Whose features are read.
        columns: Which columns mean what.
        directory: For the scratch files.
        bridge: As of `Recording`.
        tick: Called with the number of rows read so far.

    Raises:
        ConfigError: A file cannot be read, or lacks a column; or there is not a single row.
    """
    recording = Recording(directory, fleet, bridge=bridge)
    for path in paths:
        for stream, at_ns, values in _slices(path, fleet, columns):
            recording.add(stream, at_ns, values)
            if tick is not None:
                tick(recording.total_rows)
    recording.finish()
    if not recording.total_rows:
        raise ConfigError(f"{', '.join(map(str, paths))}: expected at least one row with a number, found none")
    return recording


def _slices(path: Path, fleet: Fleet, columns: FileColumns) -> Iterator[StreamRows]:
    if path.is_dir() or path.suffix == ".sqlite":
        return ledger_slices(path if path.is_dir() else path.parent, fleet)
    return read_slices(path, fleet, columns)
