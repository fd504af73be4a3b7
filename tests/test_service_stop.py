"""A stop takes three seconds at most: of those who may take long each is asked first, and then waited for together."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from gaugecast.loop.core import Core
from gaugecast.mqtt.link import FINISH_S
from gaugecast.service import children, patrolling
from gaugecast.service.daemon import Daemon

#: The promise, seconds.
AT_MOST_S = 3.0


class Slow:
    """Whatever a stop waits for, each as slow as it may be; time is what they say that they waited."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self._ends_at_s: float | None = None
        self.told: list[str] = []

    def wait(self, seconds: float) -> None:
        self.now_s += seconds

    def ask_child(self) -> None:
        """A learner that compiles hears nothing, and is killed `_STOP_S` after it was asked."""
        self.told.append("asked")
        self._ends_at_s = self._ends_at_s or self.now_s + children._STOP_S

    def close_child(self) -> None:
        self.ask_child()
        assert self._ends_at_s is not None
        self.now_s = max(self.now_s, self._ends_at_s)

    def daemon(self) -> Daemon:
        """One whose parts are these."""
        drained: Callable[..., None] = lambda *, patience_s: self.wait(patience_s)  # noqa: E731
        patrol = SimpleNamespace(ask_to_end=lambda: None, close=lambda: self.wait(patrolling._END_S))
        parts: dict[str, Any] = {
            "_notifier": SimpleNamespace(stopping=lambda _: None),
            "_child": SimpleNamespace(ask_to_end=self.ask_child, close=self.close_child),
            "_console": None,
            "_beside": (patrol,),
            # The broker neither confirms nor hangs up: each side of the link is waited for till one instant.
            "core": SimpleNamespace(drain=drained, close=lambda: self.wait(FINISH_S)),
        }
        return cast(Daemon, SimpleNamespace(**parts))


def test_all_that_is_waited_for_is_over_within_three_seconds() -> None:
    """A learner that does not listen, a patrol on a slow disk, and a broker that says nothing, all at once."""
    slow = Slow()
    Daemon.shutdown(slow.daemon())
    assert slow.now_s <= AT_MOST_S


def test_a_learner_that_is_asked_last_takes_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mutant: it shows that the test above can fail."""
    slow = Slow()
    daemon = slow.daemon()
    monkeypatch.setattr(daemon._child, "ask_to_end", lambda: None)
    Daemon.shutdown(daemon)
    assert slow.now_s > AT_MOST_S


def test_the_link_waits_no_longer_for_what_was_waited_for() -> None:
    """`drain` has had its time: a broker that confirms nothing gets no second one."""
    given: list[float] = []
    loop = SimpleNamespace(holding=True)
    closing = SimpleNamespace(close=lambda *_: None)
    core = SimpleNamespace(loop=loop, writer=closing, ledger=closing, link=SimpleNamespace(close=given.append))
    Core.close(cast(Core, core))
    assert given == [0.0]
