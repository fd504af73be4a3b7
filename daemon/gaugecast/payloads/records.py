"""From a parsed payload to its readings: elements of arrays, members under names, records put together by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gaugecast.errors import DecodeError
from gaugecast.fleet import Fleet
from gaugecast.payloads.fields import ABSENT, NAMED, WILDCARD, find, plain_text, spread
from gaugecast.payloads.wording import named
from gaugecast.topics import FieldPath, Template, path_text


class Splitter:
    """Splits the payloads of one fleet."""

    def __init__(self, fleet: Fleet, most: int) -> None:
        self._path, self._name, self._most = fleet.records_path, fleet.name_path, most
        self._spread = WILDCARD in self._path
        paths: list[FieldPath] = list(Template.parse(fleet.stream).paths)
        self._keys = paths if fleet.time_path is None else [fleet.time_path, *paths]

    def split(self, root: Any) -> Sequence[Any]:
        """The readings of a payload: the elements of an array, else the thing itself; none where there is none.

        Raises:
            DecodeError: `missing_field`, `no_features`, `too_many_readings` or `wrong_type`.
        """
        if self._spread:
            readings: Sequence[Any] = list(spread(root, self._path))
            self._bound(readings)
        else:
            found = find(root, self._path)
            if found is ABSENT:
                raise DecodeError("missing_field", f"expected readings at {path_text(self._path)}")
            if not isinstance(found, list):
                return (found,) if self._name is None else self._put_together((found,))
            self._bound(found)
            readings = found
        return readings if self._name is None else self._put_together(readings)

    def _bound(self, readings: Sequence[Any]) -> None:
        if len(readings) > self._most:
            raise DecodeError("too_many_readings", f"expected at most {self._most}, got {len(readings)}")

    def _put_together(self, records: Sequence[Any]) -> Sequence[Any]:
        """Records of one time and stream are one reading, which has them by name; in order of their first ones."""
        assert self._name is not None
        whole: dict[tuple[str | None, ...], dict[str, Any]] = {}
        for record in records:
            if not isinstance(record, dict):
                raise DecodeError("wrong_type", f"expected objects with a name and a value, got {named(record)}")
            name = plain_text(find(record, self._name))
            if name is None:
                continue
            key = tuple(plain_text(find(record, path)) for path in self._keys)
            whole.setdefault(key, {**record, NAMED: {}})[NAMED][name] = record
        return list(whole.values())
