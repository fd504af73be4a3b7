"""The broker as the loop sees it: one connection that hears, one that speaks, and one wait for both."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from gaugecast.config.schema import Mqtt
from gaugecast.mqtt.sender import Sender
from gaugecast.mqtt.subscriber import Subscriber
from gaugecast.mqtt.waiting import Interest, Waiter
from gaugecast.records import Message

FINISH_S = 0.5  # at least so long for the last bytes to get through at the end
LONGEST_WAIT_S = 0.5  # so that the keepalive is looked after in any wait
CALLED_S = 0.02
NAP_S, NAPS = 0.001, 50  # while a batch fills; waking for each packet would cost more than the packet


class Link:
    """Two client ids, each over as many connections as it takes. All of it belongs to the loop's thread.

    Two, because on one connection the confirmations of what we publish would stand behind all that the broker has for
    us. So not to read is back-pressure, and nothing else: confirmations come all the same.

    Nothing here blocks but the waits that the caller asks for. A broker that is down, refuses us, or cannot be
    resolved is a state of either side, not an exception. Exceptions mean that the process should end:
    `SessionTaken`, or a defect.

    Attributes:
        subscriber: Acks, subscriptions, and the state of the connection that hears.
        sender: Publishes, the status topic, and the state of the connection that speaks.
    """

    def __init__(
        self,
        settings: Mqtt,
        filters: Sequence[tuple[str, int]],
        *,
        forget: Sequence[str] = (),
        retained: Sequence[str] = (),
        resumed: bool = False,
        flap_limit: int = 20,
        caller: int = -1,
        may_dial: Callable[[], bool] = lambda: True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare; the first `poll` dials.

        Args:
            filters: `(topic filter, QoS)`; subscribed on every connect.
            forget: Filters of an earlier configuration, unsubscribed on every connect.
            retained: Those of `filters` for which retained messages are wanted, when the subscription is new.
            resumed: An earlier process had a session: a broker that knows none at the first connect has lost it.
            flap_limit: Sessions of less than 3 s within 30 s, ended by the broker while nothing of ours was on its way,
                that are taken for a fight over our client id.
            caller: A descriptor of somebody else's; that it can be read ends a wait, at most each `CALLED_S`.
            may_dial: Asked before each attempt of the side that subscribes; an `OSError` of it is a failed attempt.

        Raises:
            ConfigError: password or certificate files cannot be read now; later this is a state.
        """
        self._clock = clock
        self._waiter = Waiter()
        self._caller, self._called, self._called_at_s = caller, False, float("-inf")
        self.subscriber = Subscriber(
            settings, filters, forget=forget, retained=retained, resumed=resumed, flap_limit=flap_limit,
            waiter=self._waiter, clock=clock, may_dial=may_dial,
        )  # fmt: skip
        self.sender = Sender(settings, flap_limit=flap_limit, waiter=self._waiter, clock=clock)

    @property
    def connected(self) -> bool:
        """Whether both sides are."""
        return self.subscriber.connected and self.sender.connected

    def poll(self, most: int, wait_s: float, linger_s: float = 0.0) -> list[Message]:
        """Do all socket work; return up to `most` messages.

        Waits up to `wait_s` for the first message, then up to `linger_s` for the batch to fill. Returns earlier,
        perhaps without messages, after a connect and when a window that was full is half free again.
        `poll(0, …)` reads no messages (back-pressure), yet keeps the connections alive and settles publishes.

        Raises:
            SessionTaken: another client uses one of our client ids.
        """
        subscriber = self.subscriber
        self._turn(most)
        until = self._clock() + wait_s
        while not self._news and not (most and subscriber.waiting):
            left = until - self._clock()
            if left <= 0:
                break
            self._wait(left, most)
            self._turn(most)
        until, nap_s = self._clock() + linger_s, max(NAP_S, linger_s / NAPS)
        while not self._news and 0 < subscriber.waiting < most and (left := until - self._clock()) > 0:
            time.sleep(min(left, nap_s))
            self._turn(most)
        subscriber.news = self.sender.news = self._called = False
        return subscriber.take(most)

    def close(self, drain_s: float = 2.0) -> None:
        """Say `offline` and DISCONNECT, after waiting up to `drain_s` for publishes to be confirmed."""
        until = self._clock() + drain_s
        while self.sender.unconfirmed and (left := until - self._clock()) > 0:
            self.poll(0, left)
        until = self._clock() + max(drain_s, FINISH_S)
        self.sender.finish(until)
        self.subscriber.finish(until)
        self._waiter.close()

    @property
    def _news(self) -> bool:
        """Something that ends a wait: a connection, room for publishes, or a caller."""
        return self.subscriber.news or self.sender.news or self._called

    def _turn(self, most: int) -> None:
        self.sender.turn()
        self.subscriber.turn(most)

    def _wait(self, seconds: float, most: int) -> None:
        """Wait until a socket can be read or written, as wanted, or it is time to look after something."""
        heard, spoken = self.subscriber.line, self.sender.line
        again_s = self._called_at_s + CALLED_S - self._clock()  # a caller whom nobody can hear must not make us spin
        heeded = Interest(self._caller, read=True, told=True) if again_s <= 0 else Interest(-1, most_s=again_s)
        interests = heard.interest(reading=self.subscriber.wants(most)), spoken.interest(reading=True), heeded
        ended = self._waiter.wait(min(seconds, LONGEST_WAIT_S), interests)
        if self._caller in ended:
            self._called, self._called_at_s = True, self._clock()
        heard.note_ended(ended)
        spoken.note_ended(ended)
