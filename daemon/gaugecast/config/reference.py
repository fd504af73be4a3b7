"""The tables of docs/configuration.md, written out from the schema: `python -m gaugecast.config.reference FILE`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from gaugecast.config.schema import FeatureTable, FleetTable, Settings
from gaugecast.config.template import bounds_text, default_text
from gaugecast.config.walk import table_of

BEGIN = "<!-- from here on written by `python -m gaugecast.config.reference docs/configuration.md` -->\n"


def render_reference() -> str:
    """Every table and key, in the order of the file that `gaugecast init` writes."""
    lines: list[str] = []
    for name, field in Settings.model_fields.items():
        table = table_of(field)
        assert table is not None
        if name != "fleet":
            lines += _section(table, name)
    lines += _section(FleetTable, "fleet.NAME")
    lines += _section(FeatureTable, "fleet.NAME.features.FEATURE")
    return "\n".join(lines) + "\n"


def _section(table: type[BaseModel], place: str) -> Iterator[str]:
    yield f"\n### `[{place}]`\n"
    yield f"{(table.__doc__ or '').splitlines()[0]}\n"
    yield "| key | default | meaning |"
    yield "|---|---|---|"
    inner: list[tuple[str, type[BaseModel]]] = []
    for key, field in table.model_fields.items():
        below = table_of(field)
        if below is None:
            meaning = f"{field.description}{bounds_text(field)}".replace("|", "\\|")
            yield f"| `{key}` | {_default(field)} | {meaning} |"
        elif key != "features":
            inner.append((f"{place}.{key}", below))
    for inner_place, below in inner:
        yield from _section(below, inner_place)


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return f"needed, e.g. `{default_text(field)}`"
    return "–" if field.default is None else f"`{default_text(field)}`"


def write_after(file: Path, begin: str, text: str) -> None:
    """Replace what follows the mark `begin` in `file`; what people wrote before it stays."""
    written, mark, _ = file.read_text().partition(begin)
    if not mark:
        raise SystemExit(f"{file}: expected the line {begin!r}, found none")
    file.write_text(written + mark + text)


if __name__ == "__main__":
    write_after(Path(sys.argv[1]), BEGIN, render_reference())
