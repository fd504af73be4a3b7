"""docs/api.md, written out from the API's types: `python -m gaugecast.console.reference docs/api.md`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gaugecast.config.reference import write_after
from gaugecast.console.endpoints import ENDPOINTS, PREFIX
from gaugecast.console.openapi import document

BEGIN = "<!-- from here on written by `python -m gaugecast.console.reference docs/api.md` -->\n"


def render_api() -> str:
    """Every question with its parameters and answer, then the types that answers are made of."""
    described = document()
    schemas: dict[str, Any] = described["components"]["schemas"]
    lines: list[str] = []
    for one in ENDPOINTS:
        operation = described["paths"][PREFIX + one.path][one.method.lower()]
        lines += [f"\n### `{one.method} {PREFIX}{one.path}`\n", one.about]
        lines += _parameters(operation, one.asked.__name__ if one.method == "POST" else "")
        lines += [f"\nAnswers [`{one.answer.__name__}`](#{one.answer.__name__.lower()})."]
    lines += ["\n## Types\n", "As in the OpenAPI document; `?` may be null."]
    for name in sorted(schemas):
        lines += [f"\n### {name}\n", *_fields(schemas[name])]
    return "\n".join(lines) + "\n"


def _parameters(operation: dict[str, Any], body: str) -> Iterator[str]:
    if body:
        yield f"\nTakes [`{body}`](#{body.lower()}) as JSON."
        return
    if operation["parameters"]:
        yield "\n| parameter | | default |\n|---|---|---|"
    for one in operation["parameters"]:
        default = "needed" if one["required"] else _default(one["schema"])
        yield f"| `{one['name']}` | {_kind(one['schema'])} | {default} |"


def _default(schema: dict[str, Any]) -> str:
    value = schema.get("default")
    return "–" if value in (None, "") else f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _fields(schema: dict[str, Any]) -> Iterator[str]:
    if schema.get("description"):
        yield " ".join(schema["description"].split("\n\n")[0].split())
    yield "\n| field | |\n|---|---|"
    for name, one in schema.get("properties", {}).items():
        yield f"| `{name}` | {_kind(one)} |"


def _kind(schema: dict[str, Any]) -> str:
    """`number?`, `list of [Cell](#cell)`, `one of a, b`, with bounds."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in schema:
        known = [one for one in schema["anyOf"] if one.get("type") != "null"]
        return " or ".join(map(_kind, known)) + "?" * (len(known) < len(schema["anyOf"]))
    if "enum" in schema:
        return "one of " + ", ".join(f"`{one}`" for one in schema["enum"])
    kind = schema.get("type", "anything")
    if kind == "array":
        return f"list of {_kind(schema.get('items') or {})}"
    if kind == "object":
        more = schema.get("additionalProperties")
        return f"by name {_kind(more)}" if isinstance(more, dict) else "by name"
    bounds = [str(schema[key]) for key in ("minimum", "maximum") if key in schema]
    return f"{kind}, {' to '.join(bounds)}" if len(bounds) == 2 else str(kind)


if __name__ == "__main__":
    write_after(Path(sys.argv[1]), BEGIN, render_api())
