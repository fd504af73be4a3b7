"""The log's lines, read as a person, journald, or a machine would."""

from __future__ import annotations

import io
import json
import logging
import os
import socket
import sys
from collections.abc import Iterator

import pytest
import structlog

from gaugecast import logs
from gaugecast.errors import WrongUse


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    handlers, level = logging.root.handlers[:], logging.root.level
    yield
    structlog.reset_defaults()
    logging.root.handlers[:], logging.root.level = handlers, level


def written(style: logs.Style, level: str = "info") -> tuple[io.StringIO, structlog.typing.FilteringBoundLogger]:
    """A log of that style, and what it writes to."""
    stream = io.StringIO()
    logs.configure(level, style, stream)
    return stream, logs.get("mqtt")


def test_a_plain_line_has_time_level_part_event_and_keys() -> None:
    """One event is one line that a person can read and grep."""
    stream, log = written("plain")
    log.warning("broker lost", host="plant broker", port=1883, age_s=0.5, known=True, why=None)
    stamp, rest = stream.getvalue().split(" ", 1)
    assert stamp.endswith("Z")
    assert len(stamp) == len("2026-11-22T11:37:54.012345Z")
    assert rest == 'warning mqtt: broker lost host="plant broker" port=1883 age_s=0.5 known=true why=null\n'


@pytest.mark.parametrize(
    ("method", "priority"), [("critical", 2), ("error", 3), ("warning", 4), ("info", 6), ("debug", 7)]
)
def test_journald_gets_the_priority_and_no_time(method: str, priority: int) -> None:
    """`<4>` makes `journalctl -p warning` work; journald has its own clock."""
    stream, log = written("journal", "debug")
    getattr(log, method)("broker lost", host="a")
    assert stream.getvalue() == f"<{priority}>mqtt: broker lost host=a\n"


def test_json_lines_are_json() -> None:
    """Each line parses, numbers stay numbers, and what JSON cannot say becomes null or text."""
    stream, log = written("json")
    log.info("commit", rows=3, seconds=float("nan"), path=os)
    event = json.loads(stream.getvalue())
    assert (event["level"], event["part"], event["event"], event["rows"]) == ("info", "mqtt", "commit", 3)
    assert event["seconds"] is None
    assert "module" in event["path"]


@pytest.mark.parametrize("style", ["plain", "journal", "json"])
def test_an_event_is_one_line_whatever_it_carries(style: logs.Style) -> None:
    """A hostile topic cannot forge a line, a priority or an escape sequence; nor does a traceback break the line."""
    stream, log = written(style)
    try:
        raise ValueError("a\n<0>forged")
    except ValueError:
        log.exception("bad\nevent", topic='x"\n<0>forged \x1b[31m')
    text = stream.getvalue()
    assert text.count("\n") == 1
    assert "\x1b" not in text
    assert "ValueError: a" in text
    assert "test_logs.py" in text


@pytest.mark.parametrize("style", ["plain", "journal", "json"])
def test_secrets_and_payloads_do_not_get_out(style: logs.Style) -> None:
    """Keys of that kind are blank, bytes show their length, long texts are cut."""
    stream, log = written(style)
    log.info("connect", password="hunter2", payload="hunter2", Token="hunter2", raw=b"hunter2", topic="t" * 9999)
    text = stream.getvalue()
    assert "hunter2" not in text
    assert "<7 bytes>" in text
    assert len(text) < 1000


def test_levels_below_the_wanted_are_not_written() -> None:
    """`warning` leaves `info` out; an unknown level is refused with the known ones."""
    stream, log = written("plain", "warning")
    log.info("chatter")
    assert stream.getvalue() == ""
    with pytest.raises(WrongUse, match="--log-level: expected one of critical, error"):
        logs.configure("loud")


def test_a_fast_event_is_written_some_times_and_then_counted() -> None:
    """Ten lines in ten seconds, then silence, then a line that says how many were left out."""
    now = [0.0]
    limit = logs.RateLimit(burst=3, interval_s=10, clock=lambda: now[0])

    def passed(event: str = "reject") -> logs.Event | None:
        try:
            return limit(None, "warning", {"event": event, "part": "decode"})
        except structlog.DropEvent:
            return None

    assert [passed() is not None for _ in range(6)] == [True, True, True, False, False, False]
    assert passed("another") is not None
    now[0] = 10.0
    event = passed()
    assert event is not None
    assert event["suppressed"] == 3
    assert "suppressed" not in (passed() or {})


def test_the_rate_limit_forgets_rather_than_grows() -> None:
    """A million event names, which a defect might make, hold no million entries."""
    limit = logs.RateLimit(clock=lambda: 0.0)
    for i in range(5000):
        limit(None, "info", {"event": str(i)})
    assert len(limit._bursts) <= 1024


def test_the_journal_is_known_by_device_and_inode() -> None:
    """JOURNAL_STREAM names stderr's own socket; an inherited variable with stderr redirected does not count."""
    ours, theirs = socket.socketpair()
    with ours, theirs, ours.makefile("w") as stream:
        status = os.fstat(ours.fileno())
        name = f"{status.st_dev}:{status.st_ino}"
        assert logs.is_journal(stream, {"JOURNAL_STREAM": name})
        assert not logs.is_journal(stream, {"JOURNAL_STREAM": "1:2"})
        assert not logs.is_journal(stream, {})
    assert not logs.is_journal(io.StringIO(), {"JOURNAL_STREAM": name})


def test_a_log_that_cannot_be_written_stops_nobody() -> None:
    """A closed stderr is no reason to end the loop."""
    stream, log = written("plain")
    stream.close()
    log.error("nobody reads this")


def test_the_standard_librarys_loggers_join() -> None:
    """A warning of a library appears in our format, with its text as a key; its chatter does not."""
    stream, _ = written("journal")
    logging.getLogger("paho.mqtt").warning("odd packet %s", 7)
    logging.getLogger("paho.mqtt").info("chatter")
    assert stream.getvalue() == '<4>paho: library message text="odd packet 7"\n'


def test_by_default_the_log_goes_to_stderr(monkeypatch: pytest.MonkeyPatch) -> None:
    """stdout is for answers, stderr for the log."""
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    logs.configure()
    logs.get("loop").info("turning")
    assert "loop: turning" in stream.getvalue()


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (["a", "b"], "a, b"),
        ({"b": None, "a": True}, "b: null, a: True"),
        ((), ""),
        ({"y", "x"}, "x, y"),
        (None, "null"),
    ],
)
def test_values_are_written_as_people_write_them(value: object, words: str) -> None:
    """No brackets and quotes of Python's in a line that is read by everybody."""
    stream, log = written("plain")
    log.info("reload waits for a restart", keys=value)
    assert stream.getvalue().partition("keys=")[2].strip().strip('"') == words.replace("True", "true")


def test_a_format_that_there_is_not_is_refused() -> None:
    """With those that there are."""
    with pytest.raises(WrongUse, match="--log-format: expected auto, plain, journal, json, got 'xml'"):
        logs.configure("info", "xml")
