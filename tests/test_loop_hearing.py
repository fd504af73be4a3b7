"""When silence is the sensors', and when it is ours."""

from __future__ import annotations

from dataclasses import dataclass

from gaugecast.loop.hearing import SETTLED_S, Hearing


@dataclass
class Ear:
    """What is asked of a subscriber."""

    connected: bool = True
    deaf: str | None = None


def test_silence_counts_once_a_backlog_would_have_come() -> None:
    """Not at the start, nor behind a reconnect, a full poll, a disk that was full."""
    now = [100.0]
    hearing, ear = Hearing(lambda: now[0]), Ear()
    assert not hearing.listening(ear)
    now[0] += SETTLED_S
    assert hearing.listening(ear)
    hearing.interrupt()
    assert not hearing.listening(ear)
    now[0] += SETTLED_S
    assert hearing.listening(ear)


def test_who_is_not_connected_or_was_refused_hears_nothing() -> None:
    """However long ago."""
    hearing = Hearing(lambda: 0.0)
    later = Hearing(iter((0.0, 1e6, 1e6, 1e6)).__next__)
    assert not hearing.listening(Ear(connected=False))
    assert later.listening(Ear())
    assert not later.listening(Ear(connected=False))
    assert not later.listening(Ear(deaf="subscription refused"))
