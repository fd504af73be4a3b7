"""The connection that subscribes: messages in, acks out, and the session that the broker keeps for us."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from gaugecast.config.schema import Mqtt
from gaugecast.mqtt.connection import Connection
from gaugecast.mqtt.facts import Connect, SubscriberCounters
from gaugecast.mqtt.inbound_buffer import InboundBuffer
from gaugecast.mqtt.line import Line
from gaugecast.mqtt.packets import write_ack
from gaugecast.mqtt.role import SUBSCRIBING
from gaugecast.mqtt.subscriptions import Subscriptions
from gaugecast.mqtt.waiting import Waiter
from gaugecast.records import Message


class Subscriber:
    """What the broker sends us. Owned by the loop's thread.

    Attributes:
        line: Its connection, redialled.
        counters: Totals; read only.
        news: A connection was made; whoever has seen it clears.
    """

    def __init__(
        self,
        settings: Mqtt,
        filters: Sequence[tuple[str, int]],
        *,
        forget: Sequence[str],
        retained: Sequence[str],
        resumed: bool,
        flap_limit: int,
        waiter: Waiter,
        clock: Callable[[], float],
        may_dial: Callable[[], bool] = lambda: True,
    ) -> None:
        """Arguments are those of `Link`."""
        self.counters = SubscriberCounters()
        self.news = False
        self.line = Line(
            settings,
            SUBSCRIBING.saying(settings),
            side=self,
            counters=self.counters,
            waiter=waiter,
            flap_limit=flap_limit,
            clock=clock,
            may_dial=may_dial,
        )
        self._subscriptions = Subscriptions(filters, forget=forget, retained=retained, clock=clock)
        self._resumed = resumed
        self._inbound = InboundBuffer()
        self._connects: list[Connect] = []

    # What the loop calls.

    @property
    def connected(self) -> bool:
        """CONNACK came and the connection has not ended since."""
        return self.line.connected

    @property
    def epoch(self) -> int:
        """Number of the current or last connection, from 1; 0 before the first. `Message.epoch` carries it."""
        return self.line.epoch

    @property
    def deaf(self) -> str | None:
        """Why readings cannot come although connected: subscriptions refused or not answered; `None` = they can."""
        return self._subscriptions.deaf

    @property
    def lowered(self) -> str | None:
        """Which were granted with less than the QoS asked for: we hear, but readings may be lost; `None` = none."""
        return self._subscriptions.lowered

    @property
    def last_error(self) -> str | None:
        """Why the last connection or attempt ended; while connected, what is not as asked; `None` = all is well."""
        return self.line.fault or self._subscriptions.faults

    def ack(self, messages: Iterable[Message]) -> int:
        """Queue the acknowledgements, in the order given, which must be that of arrival; return how many.

        A message of an older connection is passed over: its packet id may by now mean another message.
        """
        epoch = self.line.epoch if self.line.connected else None
        asked = [message for message in messages if message.qos]
        acks = [write_ack(message) for message in asked if message.epoch == epoch]
        self.counters.stale_acks_total += len(asked) - len(acks)
        if acks and self.line.connection is not None:
            self.line.connection.wire.push(b"".join(acks))
            self.counters.acked_total += len(acks)
        return len(acks)

    def take_connects(self) -> list[Connect]:
        """Connections made since the last call."""
        taken, self._connects = self._connects, []
        return taken

    def resubscribe(self, filters: Sequence[tuple[str, int]], *, retained: Sequence[str] = ()) -> None:
        """Change the subscriptions: now, as far as they differ, and whole after every connect."""
        connection = self.line.connection if self.line.connected else None
        self._subscriptions.change(filters, retained=retained, connection=connection)

    # What the link calls.

    @property
    def waiting(self) -> int:
        """How many messages were read and not yet taken."""
        return len(self._inbound)

    def wants(self, most: int) -> bool:
        """Whether to read, for a caller that would take `most` messages now."""
        return len(self._inbound) < most

    def turn(self, most: int) -> None:
        """One turn of the line."""
        self.line.turn(reading=self.wants(most))
        if self.line.connected and self.line.connection is not None:
            self._subscriptions.look(self.line.connection, self.line.connection.quiet_since)

    def take(self, most: int) -> list[Message]:
        """Give up to `most` messages, in arrival order."""
        return self._inbound.take(most)

    def finish(self, until: float) -> None:
        """Send what is pushed and DISCONNECT, till the instant `until` at most; the session stays with the broker."""
        if self.line.connected and self.line.connection is not None:
            self.line.connection.finish(until)
        self.line.hang_up()

    # What the line calls.

    def begun(self, connection: Connection, connect: Connect) -> None:
        """CONNACK came: subscribe."""
        if connect.epoch > 1 or self._resumed:
            self.counters.session_lost_total += not connect.session_present
        self._subscriptions.begin(connection)
        self._connects.append(connect)
        self.news = True

    def turned(self, connection: Connection) -> None:
        """Take the messages and answers that came."""
        messages = connection.inbound.messages
        if messages:
            self.counters.received_total += len(messages)
            self._inbound.add(messages)
            messages.clear()
        if connection.answers:
            self._subscriptions.take(connection.answers)
            connection.answers.clear()

    def ended(self) -> bool:
        """What the broker granted went with the connection."""
        return self._subscriptions.end()
