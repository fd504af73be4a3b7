"""The connection with the broker, as the loop sees it: poll, ack, publish."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence

from gaugecast.config.schema import Mqtt
from gaugecast.errors import ConfigError, SessionTaken
from gaugecast.mqtt.connection import Connection, ConnectionEnded
from gaugecast.mqtt.facts import Connect, LinkCounters, SessionEnd
from gaugecast.mqtt.inbound_buffer import InboundBuffer
from gaugecast.mqtt.outgoing import Outgoing
from gaugecast.mqtt.packets import write_ack
from gaugecast.mqtt.redial import Redial
from gaugecast.mqtt.session import OFFLINE, ONLINE
from gaugecast.mqtt.subscriptions import Subscriptions
from gaugecast.mqtt.waiting import Waiter
from gaugecast.records import Message

FINISH_S = 0.5  # at least so long for the last bytes to get through at the end
LONGEST_WAIT_S = 0.5  # so that the keepalive is looked after in any wait
NAP_S = 0.001  # while a batch fills; waking for each packet would cost more than the packet


class Link:
    """One MQTT session, over as many connections as it takes. All of it belongs to the loop's thread.

    Nothing here blocks but the waits that the caller asks for. A broker that is down, refuses us, or cannot be
    resolved is a state (`connected`, `last_error`), not an exception. Exceptions mean that the process should end:
    `SessionTaken`, or a defect.

    Attributes:
        connected: CONNACK came and the connection has not ended since.
        epoch: Number of the current or last connection, from 1; 0 before the first. `Message.epoch` carries it.
        counters: Totals; read only.
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

        Raises:
            ConfigError: password or certificate files cannot be read now; later this is a state.
        """
        self.connected = False
        self.epoch = 0
        self.counters = LinkCounters()
        self._fault: str | None = None
        self._settings = settings
        self._subscriptions = Subscriptions(filters, forget=forget, retained=retained, clock=clock)
        self._resumed = resumed
        self._clock = clock
        self._redial = Redial(settings, flap_limit=flap_limit, clock=clock)
        self._waiter = Waiter()
        self._connection: Connection | None = None
        self._inbound = InboundBuffer()
        self._ended: SessionEnd | None = None
        self._connects: list[Connect] = []
        self._confirmed: list[int] = []
        self._refused: list[tuple[int, str]] = []
        self._news = False  # something that ends a wait: a connection, or room for publishes

    # What the loop calls.

    def poll(self, most: int, wait_s: float, linger_s: float = 0.0) -> list[Message]:
        """Do all socket work; return up to `most` messages.

        Waits up to `wait_s` for the first message, then up to `linger_s` for the batch to fill. Returns earlier,
        perhaps without messages, after a connect and when a window that was full is half free again.
        `poll(0, …)` takes no messages (back-pressure), yet keeps the connection alive and settles publishes.

        Raises:
            SessionTaken: another client uses our client id.
        """
        self._turn(most)
        until = self._clock() + wait_s
        while not self._news and not (most and self._inbound):
            left = until - self._clock()
            if left <= 0:
                break
            self._wait(left, most)
            self._turn(most)
        until = self._clock() + linger_s
        while not self._news and 0 < len(self._inbound) < most and (left := until - self._clock()) > 0:
            time.sleep(min(left, NAP_S))
            self._turn(most)
        self._news = False
        return self._inbound.take(most)

    def ack(self, messages: Iterable[Message]) -> int:
        """Queue the acknowledgements, in the order given, which must be that of arrival; return how many.

        A message of an older connection is passed over: its packet id may by now mean another message.
        """
        acks = []
        for message in messages:
            if message.qos == 0:
                continue
            if self.connected and message.epoch == self.epoch:
                acks.append(write_ack(message))
            else:
                self.counters.stale_acks_total += 1
        if acks and self._connection is not None:
            self._connection.wire.push(b"".join(acks))
            self.counters.acked_total += len(acks)
        return len(acks)

    def room(self, qos: int = 1) -> int:
        """How many publishes may be handed over now: the window's rest at QoS 1, 4 MB at QoS 0; 0 if disconnected."""
        outgoing = self._outgoing
        return 0 if outgoing is None else outgoing.room(qos)

    def publish(self, position: int, topic: str, body: bytes, qos: int, retain: bool) -> None:
        """Hand one publish over; the caller has checked `room`. Without a connection nothing happens."""
        if self._connection is not None:
            self._connection.publish(position, topic, body, qos, retain)

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

    def resubscribe(self, filters: Sequence[tuple[str, int]], *, retained: Sequence[str] = ()) -> None:
        """Change the subscriptions: now, as far as they differ, and whole after every connect."""
        connection = self._connection if self.connected else None
        self._subscriptions.change(filters, retained=retained, connection=connection)

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
        return self._fault or self._subscriptions.faults

    def announce(self, text: str) -> None:
        """Put `text` on the status topic, retained, while we are connected; on a connect that is `online` again."""
        if self.connected and self._connection is not None:
            self._connection.push_status(text)

    @property
    def backlog_bytes(self) -> int:
        """Bytes that the kernel has not yet taken."""
        return 0 if self._connection is None else self._connection.wire.backlog_bytes

    def close(self, drain_s: float = 2.0) -> None:
        """Say `offline` and DISCONNECT, after waiting up to `drain_s` for publishes to be confirmed."""
        until = self._clock() + drain_s
        while self._outgoing is not None and len(self._outgoing) and (left := until - self._clock()) > 0:
            self.poll(0, left)
        if self.connected and self._connection is not None:
            self._connection.push_status(OFFLINE)
            self._connection.finish(self._clock() + max(drain_s, FINISH_S))
        self._hang_up()
        self._waiter.close()

    # One turn of the wheel.

    @property
    def _outgoing(self) -> Outgoing | None:
        return None if self._connection is None else self._connection.outgoing

    def _turn(self, most: int) -> None:
        """Do what can be done without waiting: dial, or read and write."""
        connection = self._connection
        if connection is None:
            self._dial()
            return
        accepted = connection.accepted is not None
        try:
            connection.turn(reading=self._may_read(connection, most))
            self._take_in(connection)
            if not accepted and connection.accepted is not None:
                self._begin(connection)
            self._subscriptions.look(connection, connection.quiet_since)
        except OSError as exc:
            self._take_in(connection)
            self._end(connection, exc)

    def _dial(self) -> None:
        try:
            sock = self._redial.step()
        except (OSError, ConfigError) as exc:
            self._note_failed_dial(exc)
            return
        if sock is not None:
            password = self._redial.password
            self._connection = Connection(sock, self._settings, password, epoch=self.epoch + 1, clock=self._clock)
            self._turn(0)

    def _begin(self, connection: Connection) -> None:
        """CONNACK came: subscribe, say that we are online, tell the caller."""
        accepted = connection.accepted
        assert accepted is not None
        counters = self.counters
        if self.epoch:
            counters.reconnects_total += 1
        if self.epoch or self._resumed:
            counters.session_lost_total += not accepted.session_present
        self.epoch, self.connected, self._fault = connection.epoch, True, None
        self._subscriptions.begin(connection)
        connection.push_status(ONLINE)
        connection.wire.flush()
        self._connects.append(Connect(self.epoch, accepted.session_present, self._ended))
        self._news = True

    def _take_in(self, connection: Connection) -> None:
        """Move what a turn has brought to where the caller takes it."""
        messages = connection.inbound.messages
        if messages:
            self.counters.received_total += len(messages)
            self._inbound.add(messages)
            messages.clear()
        if connection.answers:
            self._subscriptions.take(connection.answers)
            connection.answers.clear()
        if connection.outgoing is not None and connection.outgoing.has_room_again():
            self._news = True

    def _end(self, connection: Connection, failure: OSError) -> None:
        """The connection is over; what was read of it stays to be taken, and is not acked any more."""
        in_flight = 0 if connection.outgoing is None else len(connection.outgoing)
        self._hang_up()
        if connection.accepted is None:
            self._redial.note_failure()
            self._note_failed_dial(failure)
            return
        self._fault = str(failure)
        self._ended = ended = connection.how_ended(failure)
        if isinstance(failure, ConnectionEnded) and failure.taken_over:
            raise SessionTaken(
                f"expected to be alone with mqtt.client_id {self._settings.client_id!r}, but the broker says: {failure}"
            )
        self._redial.note_session(ended.lived_s, fought=ended.how == "closed" and in_flight == 0)

    def _note_failed_dial(self, failure: Exception) -> None:
        self._fault = str(failure)
        self.counters.failed_dials_total += 1

    def _hang_up(self) -> None:
        self.connected = False
        self._subscriptions.end()
        self._waiter.forget()
        self._redial.stop()
        if self._connection is not None:
            self._collect()
            self._connection.close()
            self._connection = None

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

    def _may_read(self, connection: Connection, most: int) -> bool:
        if connection.must_read:
            return True
        reading = self._inbound.may_read(most, awaiting_acks=connection.awaits_acks)
        self.counters.dropped_total = self._inbound.dropped_total
        return reading

    def _wait(self, seconds: float, most: int) -> None:
        """Wait until the socket can be read or written, as wanted, or it is time to look after something."""
        seconds = min(seconds, LONGEST_WAIT_S)
        connection = self._connection
        if connection is None:
            self._redial.wait(self._waiter, seconds)
            return
        read = self._may_read(connection, most)
        if read and connection.wire.more:
            return
        wire = connection.wire
        if self._waiter.wait(seconds, wire.fileno(), read=read, write=wire.backlog_bytes > 0):
            connection.ending = True
