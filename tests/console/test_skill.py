"""Skill as it went: out of the ledger, stretch by stretch."""

from __future__ import annotations

import numpy as np
import pytest

from console.serving import Served
from gaugecast.console import skill
from gaugecast.console.past import Past
from gaugecast.console.skill import STRETCHES, Skills, _Errors, view_of
from gaugecast.errors import WrongUse
from support.daemon import DaemonProcess


def test_a_stretch_is_judged_by_all_errors_in_it() -> None:
    """Of all streams together; perfect is 1, no better than the last value 0; where nothing moved nothing is said."""
    at_s = np.arange(480.0)
    own = np.where(at_s < 240, 0.0, 1.0)
    last = np.where(at_s < 470, 1.0, 0.0)
    one, other = _Errors(at_s, own, last), _Errors(at_s, own * 3, last * 3)
    told = view_of({"p": [one, other], "q": [_Errors(*np.empty((3, 0)))]}, 2)
    assert len(told.at_s) == len(told.skill["p"]) == STRETCHES
    assert told.skill["p"][:20] == [1.0] * 20
    assert told.skill["p"][26:46] == [0.0] * 20
    assert told.skill["p"][-1] is None
    assert told.skill["q"] == [None] * STRETCHES
    assert view_of({"p": [one]}, 1, reach_s=96.0).at_s[0] == pytest.approx(479 - 94)
    assert view_of({"p": []}, 0).skill == {"p": []}


def test_it_is_that_of_the_fleets_own_forecasts(console: Served) -> None:
    """Each stretch of the fixture's minute, from what was observed and had been expected."""
    told = console.ask("skill", fleet="tanks")
    assert set(told["skill"]) == {"level", "flow"}
    assert told["streams"] >= 3
    assert len(told["at_s"]) == STRETCHES
    assert console.get("/api/v1/skill?fleet=none").status == 404


def test_it_is_made_once_for_all_who_ask(daemon: DaemonProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    """And a few streams stand for many."""
    monkeypatch.setattr(skill, "MOST_STREAMS", 2)
    past = Past(daemon.state)
    skills = Skills(past)
    told = skills.of("tanks")
    assert told.streams <= 2
    assert skills.of("tanks") is told
    monkeypatch.setattr(skill, "KEPT_S", -1.0)
    assert skills.of("tanks") is not told
    with pytest.raises(WrongUse, match="no fleet 'none'"):
        skills.of("none")
