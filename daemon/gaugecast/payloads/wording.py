"""How what came is named in messages."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

MOST_DETAIL = 200


def cut(text: str) -> str:
    """At most `MOST_DETAIL` characters of a text."""
    return text if len(text) <= MOST_DETAIL else text[: MOST_DETAIL - 1] + "…"


def named(value: Any) -> str:
    """What came, in JSON's words."""
    if value is None or isinstance(value, bool):
        return str(json.dumps(value))
    if isinstance(value, str):
        return f"the text {value[:32]!r}"
    if isinstance(value, bytes):
        return "bytes"
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "an array"
    return str(value)[:40] if isinstance(value, (float, Decimal)) else "a number"
