"""Formats that are JSON in other bytes: CBOR (RFC 8949) and MessagePack."""

from __future__ import annotations

import io
from datetime import datetime
from decimal import Decimal
from typing import Any

import cbor2
import msgspec

from gaugecast.errors import DecodeError
from gaugecast.payloads.wording import cut

_DEEPEST = 64


def parse_cbor(payload: bytes) -> Any:
    """One CBOR item, as JSON would have it: keys are texts, times ISO 8601 texts.

    Raises:
        DecodeError: `malformed`.
    """
    stream = io.BytesIO(payload)
    try:
        value = cbor2.CBORDecoder(stream, max_depth=_DEEPEST, read_size=1).decode()
    except (cbor2.CBORError, ValueError, ArithmeticError, RecursionError, TypeError) as exc:
        raise DecodeError("malformed", cut(f"expected CBOR: {exc}")) from exc
    rest = len(payload) - stream.tell()
    if rest:
        raise DecodeError("malformed", f"expected one CBOR item, got {rest} bytes behind it")
    return _Walk(len(payload)).plain(value, 0)


def parse_msgpack(payload: bytes) -> Any:
    """One MessagePack value, as JSON would have it: keys are texts, times ISO 8601 texts.

    Raises:
        DecodeError: `malformed`.
    """
    try:
        value = msgspec.msgpack.decode(payload)
    except (msgspec.MsgspecError, ValueError, ArithmeticError, RecursionError, TypeError) as exc:
        raise DecodeError("malformed", cut(f"expected MessagePack: {exc}")) from exc
    return _Walk(len(payload)).plain(value, 0)


class _Walk:
    """Makes values plain. CBOR can refer to what was said before: what is no tree of the payload's size is refused."""

    def __init__(self, payload_bytes: int) -> None:
        self._left = payload_bytes + 1

    def plain(self, value: Any, depth: int) -> Any:
        self._left -= 1
        if self._left < 0 or depth > _DEEPEST:
            raise DecodeError("malformed", "nested too deep" if depth > _DEEPEST else "values refer to each other")
        if value is None or isinstance(value, (str, bool, int, float, Decimal, bytes)):
            return value
        if isinstance(value, (dict, cbor2.frozendict)):
            return {_key(key): self.plain(each, depth + 1) for key, each in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.plain(each, depth + 1) for each in value]
        if isinstance(value, datetime):
            return value.isoformat()
        if isinstance(value, cbor2.CBORTag):
            return self.plain(value.value, depth + 1)
        return None if value is cbor2.undefined else b""


def _key(key: Any) -> str:
    return key if isinstance(key, str) else cut(str(key))
