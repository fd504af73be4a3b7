"""Answers as HTTP has them."""

from __future__ import annotations

import msgspec
from starlette.responses import Response

from gaugecast.console.shapes import Fault
from gaugecast.errors import CommandRefused, GaugecastError, WrongUse


def answer(content: msgspec.Struct | dict[str, object], status: int = 200) -> Response:
    """As JSON; NaN and infinities become null."""
    return Response(msgspec.json.encode(content), status, media_type="application/json")


def fault(status: int, why: str) -> Response:
    """Why there is none."""
    return answer(Fault(error=why.encode(errors="backslashreplace").decode()), status)


def status_of(exc: GaugecastError) -> int:
    """What an error of ours is in HTTP."""
    if isinstance(exc, WrongUse):
        return 404
    return 409 if isinstance(exc, CommandRefused) else 503
