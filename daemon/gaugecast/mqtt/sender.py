"""The connection that publishes: forecasts and the status out, confirmations in. It keeps no session."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gaugecast.config.schema import Mqtt
from gaugecast.mqtt.connection import Connection
from gaugecast.mqtt.facts import Connect, SenderCounters
from gaugecast.mqtt.line import Line
from gaugecast.mqtt.outgoing import Outgoing
from gaugecast.mqtt.role import PUBLISHING
from gaugecast.mqtt.session import OFFLINE, ONLINE
from gaugecast.mqtt.waiting import Waiter

UNKEPT = "the broker keeps no retained message: who comes later sees neither our status nor that we are gone"


class Sender:
    """What we publish. Owned by the loop's thread.

    Attributes:
        line: Its connection, redialled.
        counters: Totals; read only.
        news: A connection was made, or a window that was full is half free; whoever has seen it clears.
    """

    def __init__(self, settings: Mqtt, *, flap_limit: int, waiter: Waiter, clock: Callable[[], float]) -> None:
        """Prepare; the first turn dials.

        Args:
            settings: `[mqtt]`; what `[mqtt.publish]` says otherwise holds.
        """
        self.counters = SenderCounters()
        self.news = False
        self.line = Line(
            settings.publishing, PUBLISHING.saying(settings), side=self, counters=self.counters, waiter=waiter,
            flap_limit=flap_limit, clock=clock,
        )  # fmt: skip
        self._outgoing: Outgoing | None = None  # of the connection that there is
        self._connects: list[Connect] = []
        self._confirmed: list[int] = []
        self._refused: list[tuple[int, str]] = []

    # What the loop calls.

    @property
    def connected(self) -> bool:
        """CONNACK came and the connection has not ended since."""
        return self.line.connected

    @property
    def epoch(self) -> int:
        """Number of the current or last connection, from 1; 0 before the first."""
        return self.line.epoch

    @property
    def last_error(self) -> str | None:
        """Why the last connection or attempt ended; `None` = all is well."""
        return self.line.fault

    def room(self, qos: int = 1) -> int:
        """How many publishes may be handed over now: the window's rest at QoS 1, 4 MB at QoS 0; 0 if disconnected."""
        return 0 if self._outgoing is None else self._outgoing.room(qos)

    def publish(self, position: int, topic: str, body: bytes, qos: int, retain: bool) -> None:
        """Hand one publish over; the caller has checked `room`. Without a connection nothing happens."""
        self.publish_all([position], [topic], [body], qos=qos, retain=retain)

    def publish_all(
        self, positions: Sequence[int], topics: Sequence[str], bodies: Sequence[bytes], *, qos: int, retain: bool
    ) -> None:
        """Hand over several that share their flags, in this order."""
        if self.line.connection is not None:
            self.line.connection.publish_all(positions, topics, bodies, qos=qos, retain=retain)

    def take_confirmed(self) -> list[int]:
        """Positions confirmed since the last call: by PUBACK at QoS 1, by the kernel at QoS 0."""
        self._collect()
        taken, self._confirmed = self._confirmed, []
        return taken

    def take_refused(self) -> list[tuple[int, str]]:
        """`(position, reason)` of publishes that the broker will not take, since the last call."""
        self._collect()
        taken, self._refused = self._refused, []
        return taken

    def take_connects(self) -> list[Connect]:
        """Connections made since the last call; after any, the publish cursor goes back to the confirmed position."""
        taken, self._connects = self._connects, []
        return taken

    def announce(self, text: str) -> None:
        """Put `text` on the status topic, retained, while we are connected; on a connect that is `online` again."""
        if self.line.connected and self.line.connection is not None:
            self.line.connection.push_status(text)

    def ask(self, topic: str, body: bytes) -> None:
        """Send a command to a device at QoS 0, while we are connected; who asked once asks again."""
        if self.line.connected and self.line.connection is not None:
            self.line.connection.push_command(topic, body)

    # What the link calls.

    @property
    def unkept(self) -> str | None:
        """What is not there for those who come later, where the broker retains nothing; `None` = it does."""
        accepted = None if self.line.connection is None else self.line.connection.accepted
        return UNKEPT if accepted is not None and not accepted.limits.retain else None

    @property
    def unconfirmed(self) -> int:
        """How many publishes of this connection are on their way."""
        return 0 if self._outgoing is None else len(self._outgoing)

    def turn(self) -> None:
        """One turn of the line. It always reads: nothing comes but answers to what we sent."""
        self.line.turn(reading=True)

    def finish(self, until: float) -> None:
        """Say `offline` and DISCONNECT, till the instant `until` at most."""
        if self.line.connected and self.line.connection is not None:
            self.line.connection.push_status(OFFLINE)
            self.line.connection.finish(until)
        self.line.hang_up()

    # What the line calls.

    def begun(self, connection: Connection, connect: Connect) -> None:
        """CONNACK came: say that we are online."""
        self._outgoing = connection.outgoing
        connection.push_status(ONLINE)
        self._connects.append(connect)
        self.news = True

    def turned(self, connection: Connection) -> None:
        """Note whether there is room again."""
        connection.inbound.messages.clear()  # we subscribed to nothing
        if connection.outgoing is not None and connection.outgoing.has_room_again():
            self.news = True

    def ended(self) -> bool:
        """What is confirmed by now is; the rest will be handed over again."""
        self._collect()
        self._outgoing = None
        return False

    def _collect(self) -> None:
        """Take over what the connection knows of our publishes."""
        outgoing = self._outgoing
        if outgoing is None:
            return
        if outgoing.confirmed:
            self.counters.confirmed_total += len(outgoing.confirmed)
            self._confirmed += outgoing.confirmed
            outgoing.confirmed.clear()
        if outgoing.refused:
            self.counters.refused_total += len(outgoing.refused)
            self._refused += outgoing.refused
            outgoing.refused.clear()
