"""Where the series lie, and where the figures are kept."""

from __future__ import annotations

import fcntl
import json
import os
import sys
from pathlib import Path

from accuracy.runs import Rows

PLACE = Path("build/accuracy.json")
#: Rows alike in these replace each other; those of other runs and programs stay.
_KEY = ("set", "protocol", "model", "start", "learning", "horizon")


def data_folder() -> Path:
    """Where the public sets lie."""
    beside = Path(__file__).resolve().parents[3] / "shared" / "data"
    return Path(os.environ.get("GAUGECAST_DATA") or (beside if beside.is_dir() else "data"))


def find_set(name: str) -> Path:
    """A file by its path, or one of the public sets by its name; ends the program where there is none."""
    folder = data_folder()
    for path in (Path(name), folder / "ETT" / f"{name}.csv", folder / name):
        if path.is_file():
            return path
    sys.exit(
        f"{name}: a CSV file, or a set in {folder}/ (GAUGECAST_DATA names it) expected; "
        "docs/accuracy.md says where to get it"
    )


def keep_rows(rows: Rows, path: Path) -> Rows:
    """Merge rows into the file, which other runs may write to at the same time; all rows then."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        text = file.read()
        before: Rows = json.loads(text) if text else []
        kept = {tuple(row[key] for key in _KEY): row for row in [*before, *rows]}
        file.truncate(0)
        file.write(json.dumps(list(kept.values()), indent=1) + "\n")
    return list(kept.values())
