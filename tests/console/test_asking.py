"""How often the daemon is asked: at most so often, whoever looks."""

from __future__ import annotations

import pytest

from gaugecast.console.asking import Kept
from gaugecast.errors import Unreachable


def test_an_answer_is_kept_for_so_long_and_so_is_a_failure() -> None:
    """Five viewers are one question; a daemon that is away is asked no more often; then it is asked again."""
    now, asked, away = [0.0], [0], [False]

    def ask() -> int:
        asked[0] += 1
        if away[0]:
            raise Unreachable("away")
        return asked[0]

    kept = Kept(ask, 1.0, clock=lambda: now[0])
    assert [kept.get() for _ in range(5)] == [1] * 5
    now[0], away[0] = 1.0, True
    for _ in range(3):
        with pytest.raises(Unreachable):
            kept.get()
    assert asked[0] == 2
    now[0], away[0] = 2.0, False
    assert kept.get() == 3
