"""Our subscriptions: what was asked for, what the broker made of it, and asking again."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Protocol

from gaugecast.mqtt.reasons import SUBACK, name_reason

SUBACK_TIMEOUT_S = 10.0
#: What was refused or not answered is asked for again after so long, a quarter more or less.
ASK_AGAIN_S = 30.0
MOST_QOS = 2  # codes of SUBACK up to here grant it

Asked = Sequence[tuple[str, int]]


class Asker(Protocol):
    """What is needed of a `Connection`."""

    def subscribe(self, filters: Asked, *, forget: Sequence[str], retained: Sequence[str]) -> None:
        """Push UNSUBSCRIBE for `forget` and SUBSCRIBE for `filters`."""


class Subscriptions:
    """What the broker shall send, over all connections. Owned by the loop's thread.

    Filters below `$SYS` are only news of the broker itself: without them nothing is deaf.
    They are not asked for again where the broker refuses them, and not at all where it hung up on them.

    Attributes:
        filters: `(topic filter, QoS)`.
    """

    def __init__(
        self, filters: Asked, *, forget: Sequence[str], retained: Sequence[str], clock: Callable[[], float]
    ) -> None:
        self.filters = list(filters)
        self._forget = [name for name in forget if name not in {kept for kept, _ in filters}]
        self._retained = retained
        self._clock = clock
        self._waiting: dict[str, float] = {}  # filter → since when its answer is awaited
        self._silent: dict[str, str] = {}  # filter → that no answer has come
        self._refused: dict[str, str] = {}  # filter → what was expected, what came
        self._lowered: dict[str, str] = {}
        self._hung_up_on: set[str] = set()
        self._again_at = 0.0
        self._random = random.Random()

    @property
    def deaf(self) -> str | None:
        """Why readings cannot come: filters refused, or not answered within `SUBACK_TIMEOUT_S`; `None` = they can."""
        return _told([self._refused, self._silent], system=False)

    @property
    def lowered(self) -> str | None:
        """Which filters were granted with less than the QoS asked for; `None` = none."""
        return _told([self._lowered], system=False)

    @property
    def faults(self) -> str | None:
        """All that was not granted as asked, `$SYS` included; `None` = all is well."""
        return _told([self._refused, self._silent, self._lowered], system=True)

    def begin(self, connection: Asker) -> None:
        """A connection was made: ask for all of them."""
        self.end()
        asked = [(name, qos) for name, qos in self.filters if name not in self._hung_up_on]
        self._ask(connection, asked, forget=self._forget)

    def end(self) -> bool:
        """The connection is over, and with it what was known; whether news of the broker had just been asked for."""
        system = {name for name in self._waiting if _is_news(name)}
        self._hung_up_on |= system
        for known in (self._waiting, self._silent, self._refused, self._lowered):
            known.clear()
        return bool(system)

    def change(self, filters: Asked, *, retained: Sequence[str], connection: Asker | None) -> None:
        """Others are wanted from now on: ask for the difference, and for all on the next connection."""
        wanted = {name for name, _ in filters}
        gone = [name for name, _ in self.filters if name not in wanted]
        added = [asked for asked in filters if asked not in self.filters]
        self._forget = [name for name in dict.fromkeys([*self._forget, *gone]) if name not in wanted]
        self.filters, self._retained = list(filters), retained
        for known in (self._waiting, self._silent, self._refused, self._lowered):
            for name in gone:
                known.pop(name, None)
        if connection is not None:
            self._ask(connection, added, forget=gone)

    def take(self, answers: Sequence[tuple[str, int, int]]) -> None:
        """What SUBACK said: filter, QoS asked for, reason code."""
        wanted = {name for name, _ in self.filters}
        for name, qos, code in answers:
            for known in (self._waiting, self._silent, self._refused, self._lowered):
                known.pop(name, None)
            if name not in wanted or code == qos:
                continue
            if code > MOST_QOS:
                self._refused[name] = f"subscription {name!r}: expected QoS {qos}, got {name_reason(code, SUBACK)}"
                self._schedule()
            elif code < qos:
                self._lowered[name] = f"subscription {name!r}: expected QoS {qos}, granted QoS {code}"

    def look(self, connection: Asker, quiet_since: float) -> None:
        """Note answers that do not come, and ask again when it is time.

        Args:
            quiet_since: On the clock. Answers stand behind messages, so one is only missing where none come.
        """
        if not self._waiting and not self._refused and not self._silent:
            return
        now = self._clock()
        for name, since in list(self._waiting.items()):
            if now - max(since, quiet_since) > SUBACK_TIMEOUT_S:
                del self._waiting[name]
                self._silent[name] = f"subscription {name!r}: expected a SUBACK within {SUBACK_TIMEOUT_S:g} s, got none"
                self._schedule()
        again = {name for name in (*self._refused, *self._silent) if not _is_news(name)}
        if again and now >= self._again_at:
            self._schedule()
            self._ask(connection, [(name, qos) for name, qos in self.filters if name in again])

    def _ask(self, connection: Asker, filters: Asked, *, forget: Sequence[str] = ()) -> None:
        connection.subscribe(filters, forget=forget, retained=self._retained)
        now = self._clock()
        self._waiting.update({name: now for name, _ in filters if name not in self._silent})

    def _schedule(self) -> None:
        self._again_at = self._clock() + ASK_AGAIN_S * self._random.uniform(0.75, 1.25)


def _is_news(name: str) -> bool:
    return name.startswith("$SYS/")


def _told(known: Sequence[dict[str, str]], *, system: bool) -> str | None:
    texts = [text for each in known for name, text in each.items() if system or not _is_news(name)]
    return "; ".join(texts) or None
