"""Caution after hang-ups: an output at which the broker hangs up must not hold up all that come after it.

Such an output stays the first that is unconfirmed; after every reconnect it is published first, and the broker hangs
up again, for ever. After `SHORT_SESSIONS` like that, outputs are offered one by one, each in a session that has been
quiet for `QUIET_S` before. An output after which the broker hung up `STRIKES` times in a row is condemned: it goes to
the refused outputs, as any other that the broker will not take, and so does whatever else goes to its topic.

A bad network must not condemn an innocent output. It cuts at any time, so it cuts quiet sessions, too, and a session
that ends before the output was handed over acquits it; so does one that ends otherwise than by the broker, or later
than `HANG_UP_S`. To look like a culprit, an output must see all its sessions live through a quiet second and die
within the one round trip of its PUBACK. A reset weighs half: it is what networks do, and yet what mosquitto does to a
packet above `max_packet_size` on MQTT 3.1.1.
"""

from __future__ import annotations

from collections.abc import Container, Sequence

from gaugecast.loop.ports import Ended

SHORT_S = 3.0
SHORT_SESSIONS = 3
QUIET_S = 1.0
HANG_UP_S = 2.0
STRIKES = 3.0
#: What a session that ended so counts for.
WEIGHTS = {"closed": 1.0, "blamed": 1.0, "reset": 0.5}

REASON = "the broker hangs up on it"
MOST_TOPICS = 1000


class HangUpGuard:
    """Watches sessions end. Owned by the loop's thread; knows no clock but the seconds that it is told.

    Attributes:
        cautious: Outputs are to be offered one by one.
        topics: Those of condemned outputs: what else goes there is not offered, but for a trial now and then.
    """

    def __init__(self) -> None:
        self.cautious = False
        self._topics: dict[str, None] = {}
        self._first: tuple[int, str] | None = None  # what was handed over first in this session: position, topic
        self._handed_s = 0.0
        self._answered = False
        self._suspect: int | None = None
        self._short = 0  # sessions in a row, with the same output first
        self._strikes = 0.0
        self._quiet_until_s: float | None = None  # None = not asked yet in this session

    @property
    def topics(self) -> Container[str]:
        """Topics of condemned outputs."""
        return self._topics

    def may_offer(self, now_s: float) -> bool:
        """Whether the next output may be handed over alone now: after a while of quiet, once a session.

        A session that outlives it ends the caution: whatever the broker does with that output, it does not hang up.
        """
        if self._quiet_until_s is None:
            self._quiet_until_s = now_s + QUIET_S
        if self._first is not None:
            if now_s - self._handed_s > HANG_UP_S:
                self._calm_down()
            return False
        return now_s >= self._quiet_until_s

    def note_handed(self, position: int, topic: str, now_s: float) -> None:
        """An output was handed over."""
        if self._first is None:
            self._first, self._handed_s, self._answered = (position, topic), now_s, False

    def note_answers(self, positions: Sequence[int]) -> None:
        """Outputs were confirmed or refused: if one is the first of this session, the broker lives with it."""
        if self._first is not None and not self._answered and self._first[0] in positions:
            self._calm_down()
            self._answered = True

    def note_end(self, ended: Ended) -> int | None:
        """A session has ended; all of it that was settled has been noted. The output that is condemned for it, if any.

        Caution goes on after that: what is next may be of the same kind.
        """
        first, self._first, self._quiet_until_s = self._first, None, None
        if not self.cautious:
            self._note_short(ended, first)
            return None
        if first is None or ended.since_publish_s is None or ended.since_publish_s > HANG_UP_S:
            self._strikes = 0.0
            return None
        weight = WEIGHTS.get(ended.how, 0.0)
        self._strikes = self._strikes + weight if weight else 0.0
        if self._strikes < STRIKES:
            return None
        self._strikes = 0.0
        position, topic = first
        if len(self._topics) >= MOST_TOPICS:
            del self._topics[next(iter(self._topics))]
        self._topics[topic] = None
        return position

    def acquit(self, topic: str) -> None:
        """An output to this topic was delivered after all."""
        self._topics.pop(topic, None)

    def _calm_down(self) -> None:
        self.cautious, self._short, self._strikes, self._suspect = False, 0, 0.0, None

    def _note_short(self, ended: Ended, first: tuple[int, str] | None) -> None:
        if first is None or self._answered or ended.lived_s >= SHORT_S:
            self._short, self._suspect = 0, None
            return
        self._short = self._short + 1 if first[0] == self._suspect else 1
        self._suspect = first[0]
        self.cautious = self._short >= SHORT_SESSIONS
