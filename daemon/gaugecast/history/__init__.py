"""History from files, CSV and Parquet: which columns mean what, the fleet that they make, and their rows (ground).

`table` reads a file's columns a chunk at a time; `rows` makes rows, inputs and fleets of them. Everybody who takes
history from files reads it here.
"""

from gaugecast.history.rows import NO_TIME, FileColumns, StreamRows, fleet_of_file, left_out, read_inputs, read_slices
from gaugecast.history.table import parse_time

__all__ = [
    "NO_TIME", "FileColumns", "StreamRows", "fleet_of_file", "left_out", "parse_time", "read_inputs", "read_slices",
]  # fmt: skip
