"""Sparkplug B, as a reader: metrics by name, also where a birth said their names and later messages only aliases.

The schema is Tahu's public one (eclipse/tahu, sparkplug_b.proto), as far as values need it; Protocol Buffers skip the
rest. Who never heard a birth cannot know what an alias names: such a message is refused, and says so.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any, NamedTuple

from gaugecast.errors import DecodeError
from gaugecast.payloads.wording import cut

#: Devices whose aliases are remembered, and names of one device; the longest silent leave first.
MOST_DEVICES = 4096
MOST_METRICS = 65_536
#: A node that did not answer is asked again after so long.
ASK_AGAIN_NS = 60 * 10**9

_BOOLEAN = 11  # the datatype

_SIGNED_BITS = {1: 8, 2: 16, 3: 32, 4: 64}  # Int8 to Int64: negative numbers come as their two's complement
_MESSAGES = ("NBIRTH", "DBIRTH", "NDATA", "DDATA")
_ENDS = ("NDEATH", "DDEATH", "NCMD", "DCMD", "STATE")
_U32, _U64, _BOOL, _STRING, _BYTES, _FLOAT, _DOUBLE = 13, 4, 8, 9, 12, 2, 1
_METRIC = (
    ("name", 1, _STRING), ("alias", 2, _U64), ("timestamp", 3, _U64), ("datatype", 4, _U32),
    ("is_historical", 5, _BOOL), ("is_null", 7, _BOOL), ("int_value", 10, _U32), ("long_value", 11, _U64),
    ("float_value", 12, _FLOAT), ("double_value", 13, _DOUBLE), ("boolean_value", 14, _BOOL),
    ("string_value", 15, _STRING), ("bytes_value", 16, _BYTES),
)  # fmt: skip
_VALUES = tuple(name for name, _, _ in _METRIC if name.endswith("_value"))


class _Known(NamedTuple):
    """What a birth says of a metric."""

    name: str
    datatype: int


class Sparkplug:
    """Reads the messages of a host's edge nodes; remembers what their births say. Bounded; owned by one decoder.

    Args:
        ask: Told topic and body of the command by which a node is asked for a rebirth, where one of its aliases is
            unknown: once in `ASK_AGAIN_NS` a node. `None` = nobody is asked.
    """

    def __init__(self, ask: Callable[[str, bytes], None] | None = None) -> None:
        from google.protobuf.message import DecodeError as WireError

        self._payload, self._wire_error = _schema(), WireError
        self._births: OrderedDict[tuple[str, ...], dict[int, _Known]] = OrderedDict()
        self._ask = ask
        self._asked: OrderedDict[str, int] = OrderedDict()  # command topic → when

    def parse(self, topic: str, payload: bytes, received_at_ns: int) -> list[dict[str, Any]]:
        """Readings `{"time": ns, "values": {name: value}, "historical": …}`, one a time; none of deaths and commands.

        Raises:
            DecodeError: `malformed`; `missing_field` where all metrics come by aliases that no birth told.
        """
        kind, device = _who(topic)
        if kind in _ENDS:
            self._births.pop(device, None)
            return []
        message = self._payload()
        try:
            message.ParseFromString(payload)
        except (self._wire_error, ValueError, RecursionError) as exc:
            raise DecodeError("malformed", cut(f"expected Sparkplug B: {exc}")) from exc
        if kind.endswith("BIRTH"):
            self._note(device, message)
        nameless = self._nameless(device, message)
        if nameless:
            self._ask_for_birth(topic, kind, received_at_ns)
        return self._readings(device, message)

    def _known_to(self, device: tuple[str, ...]) -> dict[int, _Known]:
        """Aliases are one set for a node and its devices (section 6.4.6)."""
        return self._births.get(device, {}) | (self._births.get(device[:2], {}) if len(device) > 2 else {})

    def _nameless(self, device: tuple[str, ...], message: Any) -> bool:
        known = self._known_to(device)
        return any(not metric.name and metric.alias not in known for metric in message.metrics)

    def _ask_for_birth(self, topic: str, kind: str, received_at_ns: int) -> None:
        """Let the node of a message say its births again, by `Node Control/Rebirth` (section 6.4.26)."""
        before, _, after = topic.partition(f"/{kind}/")
        command = f"{before}/NCMD/{after.split('/')[0]}"
        asked_ns = self._asked.get(command)
        if self._ask is None or not after or (asked_ns is not None and received_at_ns - asked_ns < ASK_AGAIN_NS):
            return
        self._asked[command] = received_at_ns
        self._asked.move_to_end(command)
        if len(self._asked) > MOST_DEVICES:
            self._asked.popitem(last=False)
        request = self._payload(timestamp=received_at_ns // 10**6)
        request.metrics.add(name="Node Control/Rebirth", datatype=_BOOLEAN, boolean_value=True)
        self._ask(command, request.SerializeToString())

    def _note(self, device: tuple[str, ...], birth: Any) -> None:
        named = (metric for metric in birth.metrics if metric.HasField("alias") and metric.name)
        known = {metric.alias: _Known(metric.name, metric.datatype) for metric in named}
        if len(known) > MOST_METRICS:
            raise DecodeError("malformed", f"expected a birth of at most {MOST_METRICS} aliases, got {len(known)}")
        self._births[device] = known
        self._births.move_to_end(device)
        if len(self._births) > MOST_DEVICES:
            self._births.popitem(last=False)

    def _readings(self, device: tuple[str, ...], message: Any) -> list[dict[str, Any]]:
        known = self._known_to(device)
        readings: dict[tuple[int, bool], dict[str, Any]] = {}
        nameless = 0
        for metric in message.metrics:
            told = known.get(metric.alias) if metric.HasField("alias") else None
            name = metric.name or (told.name if told else "")
            if not name:
                nameless += 1
                continue
            at_ns = (metric.timestamp if metric.HasField("timestamp") else message.timestamp) * 1_000_000
            key = (at_ns, metric.is_historical)
            reading = readings.setdefault(key, {"values": {}, "historical": metric.is_historical})
            if at_ns:
                reading["time"] = at_ns
            reading["values"][name] = _value(metric, metric.datatype or (told.datatype if told else 0))
        if nameless and not readings:
            raise DecodeError(
                "missing_field", f"{nameless} metrics have an alias and no name, and the birth that names them was not "
                "heard; subscribe to births, too, and set rebirth = true, which asks the edge node for one",
            )  # fmt: skip
        return list(readings.values())


def _who(topic: str) -> tuple[str, tuple[str, ...]]:
    """The kind of message, and group, node and device, of `…/{group}/DDATA/{node}/{device}`."""
    levels = topic.split("/")
    for place in range(len(levels) - 1, -1, -1):
        if levels[place] in _MESSAGES or levels[place] in _ENDS:
            return levels[place], (*levels[max(0, place - 1) : place], *levels[place + 1 : place + 3])
    return "DDATA", tuple(levels)


def _value(metric: Any, datatype: int) -> Any:
    if metric.is_null:
        return None
    for field in _VALUES:
        if metric.HasField(field):
            value = getattr(metric, field)
            bits = _SIGNED_BITS.get(datatype)
            if bits and field in ("int_value", "long_value"):
                value &= (1 << bits) - 1
                return value - (1 << bits) if value >> (bits - 1) else value
            return value
    return None


def _schema() -> Any:
    """The class of payloads. Made here, since code made by `protoc` fits only the library of its own version."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    file = descriptor_pb2.FileDescriptorProto(name="gaugecast/sparkplug_b.proto", package="gaugecast", syntax="proto2")
    metric = file.message_type.add(name="Metric")
    for name, number, kind in _METRIC:
        metric.field.add(name=name, number=number, label=1, type=kind)
    payload = file.message_type.add(name="Payload")
    payload.field.add(name="timestamp", number=1, label=1, type=_U64)
    payload.field.add(name="metrics", number=2, label=3, type=11, type_name=".gaugecast.Metric")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("gaugecast.Payload"))
