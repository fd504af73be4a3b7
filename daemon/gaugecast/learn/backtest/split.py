"""Which part of some history is learned from, and which is scored."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from gaugecast.errors import ConfigError
from gaugecast.records import Input, Kind


@dataclass(frozen=True, slots=True)
class Split:
    """Which rows of each stream are trained on, validated on and scored; the rest is not looked at.

    Attributes:
        train, validation: Rows, or a share of all rows below 1.
        test: The same; `None` = all that follow.
        standardise: Errors in deviations of the train rows (of all scored rows without any), or in sensors' units.
    """

    train: float = 0.0
    validation: float = 0.0
    test: float | None = None
    standardise: bool = True

    def borders(self, rows: int) -> tuple[int, int, int]:
        """First row after training, first scored row, and one past the last scored row.

        Raises:
            ConfigError: Nothing is left to score.
        """
        train, validation = _rows(self.train, rows), _rows(self.validation, rows)
        begin = train + validation
        end = rows if self.test is None else min(rows, begin + _rows(self.test, rows))
        if not begin < end:
            raise ConfigError(f"split: rows after {begin} expected to score, got {rows} in all")
        return train, begin, end


def rows_by_stream(batches: Iterable[list[Input]]) -> Counter[str]:
    """Readings of each stream: the steps that it may have."""
    return Counter(one.stream for batch in batches for one in batch if one.kind == Kind.READING)


def most_rows(batches: Iterable[list[Input]]) -> int:
    """Steps that the longest stream may have."""
    return max(rows_by_stream(batches).values(), default=0)


def _rows(amount: float, rows: int) -> int:
    return round(amount * rows) if 0 < amount < 1 else round(amount)
