"""`python launcher.py NAME run -c FILE`: gaugecast with one thing changed, for what cannot be provoked from outside.

`poison`: the process dies of a segmentation fault when it decodes a payload that contains `poison`.
`defect`: it finds a defect there, and ends.
`quick_retry`: what the broker refuses is asked for again after half a second, not after half a minute; its answer to
    a subscription is waited for a second, not ten.
`quick_sweep`: weights that nothing names are deleted at once, not after a minute.
`crashing_learner`: the learner ends as soon as it starts, with exit code 3.
`hanging_learner`: the learner never says a word, and is waited for only a second and a half.
`settable_clock`: its wall clock is off by as many seconds as stand in the file that GAUGECAST_TEST_CLOCK names.
`plain_learner`: the learner is not nice, does not compile its updates, and counts as silent after two seconds.
"""

from __future__ import annotations

import ctypes
import functools
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from gaugecast.config.schema import Settings
from gaugecast.learn import OnlineLearner
from gaugecast.learn.online import fleet_learner
from gaugecast.loop import publisher
from gaugecast.loop.core import Ports
from gaugecast.mqtt import subscriptions
from gaugecast.payloads import Decoded, Decoder
from gaugecast.records import Message
from gaugecast.service import daemon, learner_monitor, learning, sweep, world
from gaugecast.service.children import Child
from gaugecast.status import LearningStatus


def poison() -> None:
    """Die in `decode` of a null pointer."""
    decode = Decoder.decode

    def deadly(self: Decoder, messages: Sequence[Message], *more: int) -> Decoded:
        if any(b"poison" in message.payload for message in messages):
            ctypes.string_at(0)
        return decode(self, messages, *more)

    setattr(Decoder, "decode", deadly)  # noqa: B010


def defect() -> None:
    """Raise in `decode` what nobody foresaw."""
    decode = Decoder.decode

    def wrong(self: Decoder, messages: Sequence[Message], *more: int) -> Decoded:
        if any(b"poison" in message.payload for message in messages):
            raise ZeroDivisionError("nobody foresaw this")
        return decode(self, messages, *more)

    setattr(Decoder, "decode", wrong)  # noqa: B010


def quick_retry() -> None:
    """Shorten the pauses of publisher and subscriptions."""
    publisher.RETRY_S = publisher.RETRY_MAX_S = subscriptions.ASK_AGAIN_S = 0.5
    subscriptions.SUBACK_TIMEOUT_S = 1.0


def quick_sweep() -> None:
    """Begin at once."""
    sweep.FIRST_S = 0.1


def crashing_learner() -> None:
    """As where TensorFlow cannot be loaded."""
    _learner_is("-S", "-c", "raise SystemExit(3)", silent_s=300.0)


def hanging_learner() -> None:
    """As where its disk never answers; it does not listen to SIGTERM either."""
    deaf = "import signal; signal.signal(15, signal.SIG_IGN); [signal.pause() for _ in iter(int, 1)]"
    _learner_is("-S", "-c", deaf, silent_s=1.5)


def plain_learner() -> None:
    """XLA takes longer than all else; this changes the learner's process as well."""
    learner_monitor._SILENT_S, learning._NICE = 2.0, 0
    learner = functools.partial(OnlineLearner, every=2, window=4)
    plain = lambda *words, **named: learner(*words, **{**named, "compiled": False})  # noqa: E731
    setattr(fleet_learner, "OnlineLearner", plain)  # noqa: B010
    _learner_is(os.path.abspath(__file__), "plain_learner", "learn", "-c", "{source}", "--parent", "{pid}")


def settable_clock() -> None:
    """For the core; the command line and the reports keep the right time."""
    offset = Path(os.environ["GAUGECAST_TEST_CLOCK"])
    wrong = functools.partial(Ports, wall=lambda: time.time_ns() + int(offset.read_text()) * 10**9)
    setattr(world, "Ports", wrong)  # noqa: B010


def _learner_is(*words: str, silent_s: float = 300.0) -> None:
    """Start this interpreter with `words` in the learner's place."""

    def made(settings: Settings, learning: LearningStatus) -> Child | None:
        if learning.mode != "child":
            return None
        named = [word.replace("{source}", str(settings.source)).replace("{pid}", str(os.getpid())) for word in words]
        return Child(Path(settings.source), silent_s=silent_s, command=(sys.executable, *named))

    daemon.learner_child = made  # type: ignore[attr-defined]


_CHANGES = (
    poison,
    defect,
    quick_retry,
    quick_sweep,
    crashing_learner,
    hanging_learner,
    settable_clock,
    plain_learner,
)
CHANGES: dict[str, Callable[[], None]] = {change.__name__: change for change in _CHANGES}


def command(name: str) -> list[str]:
    """What to call instead of `gaugecast`."""
    assert name in CHANGES
    return [sys.executable, os.path.abspath(__file__), name]


if __name__ == "__main__":
    from gaugecast.cli import main

    CHANGES[sys.argv.pop(1)]()
    main()
