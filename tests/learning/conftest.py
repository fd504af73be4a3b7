"""Fixtures of the learning tests."""

from __future__ import annotations

import functools
from pathlib import Path

import pytest

from e2e.conftest import broker
from gaugecast.learn import OnlineLearner
from gaugecast.learn.online import fleet_learner as learners
from learning.site import Site
from learning.worlds import configured

__all__ = ["broker"]


@pytest.fixture
def plain_updates(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not compiled: that would take longer than all the tests."""
    plain = functools.partial(OnlineLearner, every=2, window=4)
    monkeypatch.setattr(
        learners, "OnlineLearner", lambda *words, **named: plain(*words, **{**named, "compiled": False})
    )


@pytest.fixture
def site(tmp_path: Path, plain_updates: None) -> Site:
    """With the fleet configured."""
    made = Site(tmp_path)
    made.commit(configured())
    return made
