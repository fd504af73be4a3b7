"""Protocols by name: which rows papers train on and score, so that figures can be held against theirs."""

from __future__ import annotations

from collections.abc import Callable

from gaugecast.errors import ConfigError
from gaugecast.learn.backtest.split import Split

#: Rows of input that ADAPT-Z's loader takes before its first scored one.
_WINDOW = 96
#: Rows that FSNet's loader looks at of the hourly ETT files: 4 + 1 + 15 months of 30 days.
_FSNET = (2880, 720, 10_800)


def _fsnet(rows: int) -> Split:
    return Split(*_FSNET) if rows >= sum(_FSNET) else Split(0.2, 0.05)


def _adapt_z(rows: int) -> Split:
    train, begin = round(0.6 * rows), round(0.7 * rows) + _WINDOW
    return Split(train, begin - train)


#: `fsnet`: Pham et al., ICLR 2023. `adapt-z`: ICLR 2026: six tenths train, three tenths scored.
PROTOCOLS: dict[str, Callable[[int], Split]] = {"fsnet": _fsnet, "adapt-z": _adapt_z}


def split_by(protocol: str, rows: int) -> Split:
    """The split of a history of so many rows.

    Raises:
        ConfigError: There is no such protocol.
    """
    if protocol not in PROTOCOLS:
        raise ConfigError(f"--protocol: {' or '.join(PROTOCOLS)} expected, got {protocol!r}")
    return PROTOCOLS[protocol](rows)
