"""Lines of dots in a terminal."""

from __future__ import annotations

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from gaugecast.cli.plot import HEIGHT, plot_lines

NUMBERS = st.one_of(st.none(), st.floats())


def test_a_rising_line_rises() -> None:
    """The first dot is at the lower left, the last at the upper right; the axis has its ends."""
    lines = plot_lines([float(i) for i in range(30)], [None] * 30, width=60).plain.split("\n")
    assert lines[0].split()[0] == "29.00"
    assert lines[-1].split()[0] == "0.00"
    assert lines[-1][12] != "\u2800"
    assert lines[0][-1] != "\u2800"


def test_what_nobody_has_seen_is_said() -> None:
    """No empty frame."""
    assert "nothing was observed yet" in plot_lines([None, math.nan], [None, None], width=80).plain


@settings(deadline=None, max_examples=30)
@given(values=st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=40), width=st.integers(30, 120))
def test_whatever_comes_fits_its_place(values: list[tuple[float | None, float | None]], width: int) -> None:
    """Gaps, one value, huge ones, constant ones."""
    observed, expected = zip(*values, strict=True)
    lines = plot_lines(observed, expected, width=width).plain.split("\n")
    assert len(lines) in (1, HEIGHT)
    assert all(len(line) < max(width, 40) for line in lines)
