"""Which part of some history is learned from, and which is scored."""

from __future__ import annotations

from dataclasses import dataclass

from gaugecast.errors import ConfigError


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


def _rows(amount: float, rows: int) -> int:
    return round(amount * rows) if 0 < amount < 1 else round(amount)
