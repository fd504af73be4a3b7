"""The layout of a fleet's plain payloads: msgspec Structs that hold what is needed of one, and nothing else."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import reduce
from typing import Any

import msgspec

from gaugecast.errors import DecodeError
from gaugecast.fleet import Feature, Fleet
from gaugecast.topics import FieldPath

#: Raised inside by whatever is not plain. MsgspecError: not JSON, a wrong type, a number out of range.
#: AttributeError: an object on the path is absent. ArithmeticError: of Decimal. ValueError: no instant, no UTF-8.
UNPLAIN = (msgspec.MsgspecError, AttributeError, ArithmeticError, ValueError, TypeError, RecursionError, DecodeError)

#: Decodes a payload.
Decode = Callable[[bytes], Any]
#: Takes the fields out of a decoded reading: time or sequence, ids, values.
Fields = Callable[[Any], tuple[Any, ...]]

#: Reads an event time that is a number; as a field it is taken raw, since a column of them is read at once.
decode_stamp = msgspec.json.Decoder(int | Decimal).decode

_DIGITS = re.compile(r"\d+")
_NAN = math.nan


def compile_object(fleet: Fleet, ids: Sequence[FieldPath], features: Sequence[Feature]) -> tuple[Decode, Fields]:
    """What decodes a payload that is one reading; always raises where no Struct can say the fleet's paths."""
    if fleet.payload == "number":
        return msgspec.json.Decoder(float).decode, _alone
    try:
        if fleet.records_path:
            raise ValueError("records in an envelope")
        kind, fields = _compile_struct(_leaves(fleet, ids, features), required=False)
    except ValueError:  # the careful reader takes all messages
        return never_plain, _alone
    return msgspec.json.Decoder(kind).decode, fields


def compile_array(fleet: Fleet, ids: Sequence[FieldPath], features: Sequence[Feature]) -> tuple[Decode, Fields]:
    """What decodes a payload that is, or has in its envelope, an array of readings, into their list.

    In an envelope each reading must have all fields: what it lacks may lie in the envelope, where the careful reader
    looks.
    """
    try:
        if fleet.payload == "number":
            raise ValueError("no arrays")
        kind, fields = _compile_struct(_leaves(fleet, ids, features), required=bool(fleet.records_path))
        _refuse_places(fleet.records_path)
    except ValueError:
        return never_plain, _alone
    if not fleet.records_path:
        return msgspec.json.Decoder(list[kind]).decode, fields  # type: ignore[valid-type]
    envelope: Any = list[kind]  # type: ignore[valid-type]
    for key in reversed(fleet.records_path):
        envelope = msgspec.defstruct("Envelope", [("f0", envelope, msgspec.field(name=key))], gc=False)
    whole, steps = msgspec.json.Decoder(envelope).decode, ["f0"] * len(fleet.records_path)
    return (lambda payload: reduce(getattr, steps, whole(payload))), fields


def _leaves(fleet: Fleet, ids: Sequence[FieldPath], features: Sequence[Feature]) -> list[tuple[FieldPath, Any, Any]]:
    """Path, type and default of each field."""
    leaves: list[tuple[FieldPath, Any, Any]] = []
    if fleet.time_path is not None:
        leaves.append((fleet.time_path, str if fleet.time_unit == "iso8601" else msgspec.Raw, None))
    elif fleet.sequence_path is not None:
        leaves.append((fleet.sequence_path, int, None))
    leaves += [(path, str | int, "") for path in ids]  # an absent one is no id, which `stream_id` refuses
    leaves += [(feature.path, float | None, _NAN) for feature in features]
    return leaves


def _refuse_places(path: FieldPath) -> None:
    if any(_DIGITS.fullmatch(key) for key in path):
        raise ValueError("places in arrays")


def _compile_struct(
    leaves: Sequence[tuple[FieldPath, Any, Any]], *, required: bool
) -> tuple[type[msgspec.Struct], Fields]:
    tree: dict[str, Any] = {}
    names: list[str] = []
    for path, kind, default in leaves:
        if not path:
            raise ValueError("the payload itself")
        _refuse_places(path)
        node = tree
        for key in path[:-1]:
            node = node.setdefault(key, {})
            if not isinstance(node, dict):
                raise ValueError("a field within a field")
        if path[-1] in node:
            raise ValueError("one field for two things")
        node[path[-1]] = (kind, default)
    for path, _, _ in leaves:
        node, place = tree, []
        for key in path:
            place.append(f"f{list(node).index(key)}")
            node = node[key]
        names.append(".".join(place))
    getter = operator.attrgetter(*names)
    fields = getter if len(names) > 1 else lambda reading: (getter(reading),)
    return _struct_of(tree, required=required), fields


def _struct_of(tree: dict[str, Any], *, required: bool) -> type[msgspec.Struct]:
    fields: list[tuple[str, Any, Any]] = []
    for place, (key, node) in enumerate(tree.items()):
        kind, default = (_struct_of(node, required=required) | None, None) if isinstance(node, dict) else node
        more = {} if required else {"default": default}
        fields.append((f"f{place}", kind, msgspec.field(name=key, **more)))
    return msgspec.defstruct("Payload", fields, gc=False)


def _alone(value: Any) -> tuple[Any, ...]:
    return (value,)


def never_plain(payload: bytes) -> Any:
    """Decodes nothing."""
    raise ValueError(payload[:0])
