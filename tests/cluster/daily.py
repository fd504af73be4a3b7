"""`python -m cluster.daily DIRECTORY`: a small cluster on this machine is hurt; what was found, as JSON.

A process of its own: Ray changes the one that it is begun in, its warnings and signals, for all tests that come after.
"""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path

import msgspec

import cluster.guard  # noqa: F401  # before ray, which reads its settings when it is imported
from cluster.live import Site, run

#: An answer may take so long where other tests use the processors, too: a node that is slow is not lost.
_PATIENT_MS = 5000


def hurt(one: Site) -> None:
    """Who takes a place need not stand by for it: that only saves time."""
    one.kill_part("partition-0")
    one.wait_forecasts(60)
    one.kill_part("ingest-0")
    one.wait_forecasts(60)
    one.write_with_old_token(1)
    one.wait_forecasts(60)


def main(directory: Path) -> None:
    """Two partitions, one ingest, one node."""
    found = run(directory, hurt, partitions=2, streams=16, rate=60.0, patience_ms=_PATIENT_MS, workers=0)
    sys.stdout.buffer.write(msgspec.json.encode(asdict(found)))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
