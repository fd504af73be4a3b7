"""The log: one line an event, to stderr, for journald, a terminal, or a machine that reads JSON.

Under journald a line begins with its priority (`<4>`, sd-daemon(3)) and has no time of its own; elsewhere it begins
with the time in UTC. An event that repeats fast is written some times and then counted. Payloads and secrets have
no business here: such keys are left blank, bytes show their length only.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sys
import time
import traceback
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any, Literal, TextIO, cast, get_args

import msgspec

from gaugecast.errors import WrongUse

# structlog takes rich along where that is installed, for coloured tracebacks that we do not print: a tenth of a start's
# time, and 4 MB for as long as the daemon runs. So rich is not there while structlog looks for it.
_rich = sys.modules.get("rich")
sys.modules["rich"] = None  # type: ignore[assignment]
try:
    import structlog
finally:
    if _rich is None:
        del sys.modules["rich"]
    else:
        sys.modules["rich"] = _rich

Style = Literal["auto", "plain", "journal", "json"]
STYLES = get_args(Style)

_PRIORITIES = {"critical": 2, "error": 3, "warning": 4, "notice": 5, "info": 6, "debug": 7}
_BLANK = frozenset({"payload", "body", "password", "secret", "token", "key_pem", "authorization"})
_LONGEST_VALUE = 512
_LONGEST_TRACEBACK = 8192

Event = MutableMapping[str, Any]


def get(name: str) -> structlog.typing.FilteringBoundLogger:
    """The log of one part (`mqtt`, `ledger`, …): `log.warning("broker lost", host=…, reason=…)`.

    The event is a fixed text, so that it can be counted and searched for; what varies goes into the keys.
    """
    return cast(structlog.typing.FilteringBoundLogger, structlog.get_logger(part=name))


def configure(level: str = "info", style: Style | str = "auto", stream: TextIO | None = None) -> None:
    """Set the whole process's log up; the standard library's loggers (paho, amqtt) join it from `warning` on.

    Args:
        level: debug, info, warning, error or critical.
        style: `auto` = `journal` where stderr is journald's (JOURNAL_STREAM), else `plain`.

    Raises:
        WrongUse: `level` or `style` is none of them.
    """
    if style not in STYLES:
        raise WrongUse(f"--log-format: expected {', '.join(STYLES)}, got {style!r}")
    number = logging.getLevelNamesMapping().get(level.upper())
    if number is None or level.lower() not in _PRIORITIES:
        raise WrongUse(f"--log-level: expected one of {', '.join(_PRIORITIES)}, got {level!r}")
    target = sys.stderr if stream is None else stream
    if style == "auto":
        style = "journal" if is_journal(target, os.environ) else "plain"
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            RateLimit(),
            structlog.processors.TimeStamper(fmt="%Y-%m-%dT%H:%M:%S.%fZ", key="time"),
            _flatten_exception,
            _blank_secrets,
            _RENDERERS[style],
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=lambda *_: _Lines(target),
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(handlers=[_Bridge()], level=logging.WARNING, force=True)


def is_journal(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Whether `stream` is the socket that journald gave us: JOURNAL_STREAM has its device and inode."""
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


@dataclass(slots=True)
class _Burst:
    begun_at: float
    written: int = 0
    suppressed: int = 0


class RateLimit:
    """A processor that lets an event pass `burst` times in `interval_s`, and then counts it.

    The next one after the interval carries `suppressed=n`. Any thread: a lost count would be no harm.
    """

    def __init__(
        self, burst: int = 10, interval_s: float = 10.0, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._burst = burst
        self._interval_s = interval_s
        self._clock = clock
        self._bursts: dict[tuple[str, str], _Burst] = {}

    def __call__(self, _: Any, method: str, event: Event) -> Event:
        """Pass the event on, or raise `structlog.DropEvent`."""
        if method in ("critical", "debug"):
            return event
        now = self._clock()
        name = (str(event.get("part", "")), str(event.get("event", "")))
        burst = self._bursts.get(name)
        if burst is None or now - burst.begun_at >= self._interval_s:
            if len(self._bursts) >= 1024:  # events are fixed texts; whoever varies them is not remembered
                self._bursts.clear()
            if burst is not None and burst.suppressed > 0:
                event["suppressed"] = burst.suppressed
            burst = self._bursts[name] = _Burst(now)
        if burst.written >= self._burst:
            burst.suppressed += 1
            raise structlog.DropEvent
        burst.written += 1
        return event


def _flatten_exception(_: Any, __: str, event: Event) -> Event:
    """Put the exception on the event's one line: what it was, and the end of its traceback.

    structlog's own `format_exc_info` puts both under one key, of any length.
    """
    found = event.pop("exc_info", None)
    if found is True:
        found = sys.exc_info()
    if isinstance(found, BaseException):
        found = (type(found), found, found.__traceback__)
    if isinstance(found, tuple) and found[1] is not None:
        event["exception"] = f"{type(found[1]).__name__}: {found[1]}"
        event["traceback"] = "".join(traceback.format_exception(*found))[-_LONGEST_TRACEBACK:]
    return event


def _blank_secrets(_: Any, __: str, event: Event) -> Event:
    for key, value in event.items():
        if key.lower() in _BLANK:
            event[key] = "…"
        elif isinstance(value, bytes | bytearray | memoryview):
            event[key] = f"<{len(value)} bytes>"
        elif isinstance(value, str) and key != "traceback" and len(value) > _LONGEST_VALUE:
            event[key] = value[:_LONGEST_VALUE] + "…"
    return event


def render_plain(_: Any, __: str, event: Event) -> str:
    """`2026-11-22T11:37:54.012345Z warning mqtt: broker lost host=localhost`."""
    return f"{event.pop('time')} {event.pop('level'):<7} {_render_words(event)}"


def render_journal(_: Any, __: str, event: Event) -> str:
    """`<4>mqtt: broker lost host=localhost`."""
    del event["time"]
    return f"<{_PRIORITIES.get(event.pop('level'), 6)}>{_render_words(event)}"


def _to_json(event: Event, **_: Any) -> str:
    """The same as one JSON object: time, level, part, event, then the keys."""
    ordered = {name: event.pop(name) for name in ("time", "level", "part", "event") if name in event}
    return msgspec.json.encode({**ordered, **event}, enc_hook=str).decode()  # NaN becomes null


_RENDERERS: Mapping[str, structlog.typing.Processor] = {
    "plain": render_plain,
    "journal": render_journal,
    "json": structlog.processors.JSONRenderer(serializer=_to_json),
}


def _render_words(event: Event) -> str:
    """Logfmt; structlog's renderer lets escape sequences through, which a hostile topic may hold."""
    part, text = event.pop("part", None), str(event.pop("event", ""))
    head = _one_line(text) if part is None else f"{part}: {_one_line(text)}"
    return " ".join([head, *(f"{key}={_quote(value)}" for key, value in event.items())])


def _quote(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.6g}"
    text = _words(value)
    if text and text.isprintable() and not any(c in text for c in ' ="'):
        return text
    return json.dumps(text, ensure_ascii=not text.isprintable())


def _words(value: Any) -> str:
    """As people write it, not as Python does: `a, b` for a list, `null`."""
    if isinstance(value, list | tuple | set | frozenset):
        return ", ".join(
            _words(one) for one in (sorted(value, key=str) if isinstance(value, set | frozenset) else value)
        )
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {_words(one)}" for key, one in value.items())
    if isinstance(value, bool):
        return "true" if value else "false"
    return "null" if value is None else str(value)


def _one_line(text: str) -> str:
    return text if text.isprintable() else json.dumps(text)[1:-1]


class _Lines(structlog.WriteLogger):
    """Writes a line and flushes it. A log that cannot be written must not stop the loop."""

    def msg(self, message: str) -> None:
        with contextlib.suppress(OSError, ValueError):
            super().msg(message)

    debug = info = warning = error = critical = fatal = exception = warn = log = msg


class _Bridge(logging.Handler):
    """Hands records of the standard library's loggers to ours."""

    def emit(self, record: logging.LogRecord) -> None:
        log = get(record.name.partition(".")[0])
        # The text varies, so it is a key: the rate limit goes by logger.
        log.log(record.levelno, "library message", text=record.getMessage(), exc_info=record.exc_info)
