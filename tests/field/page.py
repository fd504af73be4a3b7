"""The table in docs/devices.md: what is played of the field, and what comes of it. `python -m field.page FILE`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from field.cases import CASES, TIMES, Case
from gaugecast.config.reference import write_after

BEGIN = "<!-- from here on written by `python -m field.page docs/devices.md` -->\n"


def render_table() -> str:
    """A row for each way to configure a folder."""
    lines = ["", "| layout | with | what comes of it |", "|---|---|---|", *map(_row, CASES)]
    mended = sum(keys is not None for keys in TIMES.values())
    lines.append(f"| time formats | {len(TIMES)} ways | {mended} refused, each with the key that reads it |")
    return "\n".join(lines) + "\n"


def _row(case: Case) -> str:
    keys = "; ".join(_keys("", case.changes.get("x", {}))) or "the least"
    came = [f"{sum((case.steps or {}).values())} steps of {len(case.steps)} streams"] if case.steps else []
    came += [f"{count} refused (`{reason}`)" for reason, count in case.rejects.items()]
    came += [f"{case.not_ours} not ours"] if case.not_ours else []
    came += [f"“{case.says}”"] if case.says else []
    return f"| {case.folder[3:]} | {keys} | {', '.join(came) or 'all values read'} |".replace("“", '"').replace(
        "”", '"'
    )


def _keys(place: str, changes: dict[str, Any]) -> Iterator[str]:
    for key, value in changes.items():
        if isinstance(value, dict) and key != "where":
            yield from _keys("" if key == "features" else f"{place}{key}.", value)
        elif value is None:
            yield f"no `{place}{key}`"
        else:
            yield f"`{place}{key} = {json.dumps(value, ensure_ascii=False)}`"


if __name__ == "__main__":
    for case in CASES:
        case.run()
    write_after(Path(sys.argv[1]), BEGIN, render_table())
