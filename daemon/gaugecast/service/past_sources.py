"""Where history comes from that is loaded: tables, InfluxDB line protocol, answers of Prometheus to range queries."""

from __future__ import annotations

import re
import urllib.error
import urllib.request
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from gaugecast.errors import ConfigError, DecodeError, Unreachable, WrongUse
from gaugecast.files import regular
from gaugecast.fleet import Fleet
from gaugecast.history import FileColumns, StreamRows, read_slices
from gaugecast.history.rows import AS_FOUND
from gaugecast.payloads.formats.influx import parse_influx
from gaugecast.payloads.instants import SCALE_NS
from gaugecast.records import FIRST_NS, LAST_NS

_FETCH_S = 60.0
_MOST_BYTES = 1 << 30
_PLACEHOLDER = re.compile(r"\{([^{}]+)\}")
_LINES = (".lp", ".line", ".lines", ".influx")

Rows = Iterable[tuple[str, int, str, float]]  # stream, instant, feature, value


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be taken of a source, and what it is called.

    Attributes:
        stream: Template of the stream's id: `{column}`, `{label}`, `{tag}`, or plain text; empty = the fleet's own.
        feature: Which feature the series of a query are; empty = each is called as its feature is.
        columns: Of a table.
        unit: Of the instants in line protocol.
    """

    stream: str = ""
    feature: str = ""
    columns: FileColumns = AS_FOUND
    unit: str = "ns"


def read_past(source: str, fleet: Fleet, wanted: Wanted) -> Iterator[StreamRows]:
    """The rows of a file or an address, by stream.

    Raises:
        ConfigError: It cannot be read, or is not what its name says; with the line where there is one.
        WrongUse: What it has is not told apart by what was given.
        Unreachable: Nobody answers at the address.
    """
    if source.startswith(("http://", "https://")):
        return _joined(_of_query(source, _fetched(source), fleet, wanted), fleet)
    path = Path(source)
    if path.suffix.lower() == ".json":
        return _joined(_of_query(source, _read(path), fleet, wanted), fleet)
    if path.suffix.lower() in _LINES:
        return _joined(_of_lines(path, fleet, wanted), fleet)
    return _of_table(path, fleet, wanted)


# -- tables


def _of_table(path: Path, fleet: Fleet, wanted: Wanted) -> Iterator[StreamRows]:
    """The stream is the column that is named, plain text, or the file's name."""
    names = _PLACEHOLDER.findall(wanted.stream)
    if not names:
        for rows in read_slices(path, fleet, wanted.columns):
            yield rows._replace(stream=wanted.stream or rows.stream)
        return
    if len(names) > 1:
        raise WrongUse(f"--stream {wanted.stream}: of a table one {{column}} names the stream, got {len(names)}")
    for rows in read_slices(path, fleet, replace(wanted.columns, stream=names[0])):
        yield rows._replace(stream=wanted.stream.replace(f"{{{names[0]}}}", rows.stream))


# -- Prometheus


def _of_query(source: str, content: bytes, fleet: Fleet, wanted: Wanted) -> Rows:
    """The samples of a range query's answer (`resultType` matrix)."""
    try:
        answer: Any = msgspec.json.decode(content)
        series = answer["data"]["result"]
        kind = answer["data"]["resultType"]
    except (msgspec.MsgspecError, KeyError, TypeError) as exc:
        raise ConfigError(
            f"{source}: expected the answer to a range query of Prometheus, got {content[:60]!r}"
        ) from exc
    if kind != "matrix":
        raise ConfigError(
            f"{source}: expected a matrix, got a {kind}; ask /api/v1/query_range with start, end and step"
        )
    for number, one in enumerate(series, 1):
        labels = {key: str(value) for key, value in one.get("metric", {}).items()}
        place = f"{source}: series {number}, {labels}"
        feature = _feature(wanted.feature or labels.get("__name__", ""), fleet, place)
        stream = _stream(labels, fleet, wanted, place)
        for sample in one.get("values", ()):
            try:
                at_s, value = sample
                yield stream, _ns_of(at_s), feature, float(value)
            except (TypeError, ValueError) as exc:
                raise ConfigError(f'{place}: expected samples [seconds, "value"], got {sample!r}') from exc


def _ns_of(seconds: float | int) -> int:
    return round(seconds * 1000) * 1_000_000  # Prometheus counts milliseconds


def _fetched(address: str) -> bytes:
    try:
        with urllib.request.urlopen(address, timeout=_FETCH_S) as answer:
            return bytes(answer.read(_MOST_BYTES))
    except urllib.error.HTTPError as exc:
        raise ConfigError(
            f"{address}: expected an answer, got {exc.code}: {exc.read(300).decode(errors='replace')}"
        ) from exc
    except (OSError, ValueError) as exc:
        raise Unreachable(f"{address}: expected Prometheus to answer, got: {exc}") from exc


def _read(path: Path) -> bytes:
    try:
        return regular(path).read_bytes()
    except OSError as exc:
        raise ConfigError(f"{path}: expected a readable file: {exc.strerror}") from exc


# -- line protocol


def _of_lines(path: Path, fleet: Fleet, wanted: Wanted) -> Rows:
    scale = SCALE_NS[wanted.unit]
    for number, text in enumerate(_read(path).decode(errors="replace").splitlines(), 1):
        if not text.strip():
            continue
        try:
            points = parse_influx(text)
        except DecodeError as exc:
            raise ConfigError(f"{path}, line {number}: {exc.detail.removeprefix('line protocol, line 1: ')}") from exc
        for point in points:
            place = f"{path}, line {number}"
            if "time" not in point:
                raise ConfigError(f"{place}: expected a time stamp at the line's end, got {text[-40:]!r}")
            known = {name for name in (feature.name for feature in fleet.features) if name in point["fields"]}
            labels = {"measurement": point["measurement"], **point["tags"]}
            for name in known:
                value = point["fields"][name]
                if not isinstance(value, str):
                    yield _stream(labels, fleet, wanted, place), point["time"] * scale, name, float(value)


# -- names


def _stream(labels: Mapping[str, str], fleet: Fleet, wanted: Wanted, place: str) -> str:
    """The id of the stream whose labels, or tags, these are."""
    template = wanted.stream or fleet.stream
    names = _PLACEHOLDER.findall(template)
    values = {name: labels.get(_last(name)) for name in names}
    lacking = [name for name in names if values[name] is None]
    if lacking:
        raise WrongUse(
            f"{place}: {template!r} asks for {', '.join(lacking)}; say --stream with what is there: "
            f"{', '.join(f'{{{name}}}' for name in labels)}"
        )
    return _PLACEHOLDER.sub(lambda found: values[found[1]] or "", template)


def _last(name: str) -> str:
    """Of a payload's field, `$.tags.host`, the last name."""
    return re.split(r"[.\[\]'\"]+", name.rstrip("]'\""))[-1] if name.startswith("$") else name


def _feature(name: str, fleet: Fleet, place: str) -> str:
    known = [feature.name for feature in fleet.features]
    if name not in known:
        raise WrongUse(f"{place}: expected one of [fleet.{fleet.name}]'s features, {', '.join(known)}; say --feature")
    return name


# -- rows


def _joined(rows: Rows, fleet: Fleet) -> Iterator[StreamRows]:
    """Values of one stream and instant as one row; those outside of `valid` are absent."""
    places = {feature.name: place for place, feature in enumerate(fleet.features)}
    valid = {feature.name: (feature.valid_min, feature.valid_max) for feature in fleet.features}
    streams: dict[str, dict[int, list[float]]] = defaultdict(dict)
    for stream, at_ns, name, value in rows:
        low, high = valid[name]
        if low <= value <= high and np.isfinite(value) and FIRST_NS <= at_ns <= LAST_NS:
            row = streams[stream].setdefault(at_ns, [float("nan")] * len(places))
            row[places[name]] = value
    for stream, table in streams.items():
        instants = sorted(table)
        yield StreamRows(stream, np.array(instants, np.int64), np.array([table[at] for at in instants], np.float64))
