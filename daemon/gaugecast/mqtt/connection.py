"""One connection from its open socket to its end: bytes in, bytes out, and what they mean."""

from __future__ import annotations

import contextlib
import select
import socket
from collections.abc import Callable, Sequence

from gaugecast.config.schema import Mqtt
from gaugecast.mqtt.causes import Unanswered
from gaugecast.mqtt.facts import How, SessionEnd
from gaugecast.mqtt.outgoing import Outgoing
from gaugecast.mqtt.packets import Inbound, write_pubcomp
from gaugecast.mqtt.role import Role
from gaugecast.mqtt.session import Accepted, Ended, Session
from gaugecast.mqtt.wire import ClosedByBroker, Wire

CONNACK_TIMEOUT_S = 10.0
KEEPALIVE_CHECK_S = 0.25


class ConnectionEnded(ConnectionError):
    """The connection is over.

    `taken_over` if another client came with our id, `blamed` if for what we sent; `code` of a CONNACK that says no.
    """

    def __init__(self, reason: str, *, taken_over: bool = False, blamed: bool = False, code: int = 0) -> None:
        super().__init__(reason)
        self.taken_over = taken_over
        self.blamed = blamed
        self.code = code


class Connection:
    """One connection. Owned by the loop's thread; never used again once a method has raised.

    Attributes:
        epoch: Its number; `inbound.messages` carry it.
        accepted: What CONNACK said; `None` until it has come.
        outgoing: Our publishes; `None` until then, and where nothing is published.
        answers: What the broker made of filters; whoever takes them clears.
        since: When it was begun, then when it was accepted.
        quiet_since: When the last message came, or we last did not read: what we wait for may stand behind.
        ending: The broker has ended it; what it sent before is still to be read.
    """

    def __init__(
        self,
        sock: socket.socket,
        settings: Mqtt,
        *,
        role: Role,
        password: str | None,
        epoch: int,
        clock: Callable[[], float],
    ) -> None:
        v5 = settings.protocol == "5"
        self.epoch = epoch
        self.wire = Wire(sock)
        self.inbound = Inbound(epoch, v5=v5)
        self.accepted: Accepted | None = None
        self.outgoing: Outgoing | None = None
        self.answers: list[tuple[str, int, int]] = []
        self.since = self.quiet_since = clock()
        self.ending = False
        self._clock = clock
        self._settings, self._role = settings, role
        self._check_at = 0.0
        self._published_at: float | None = None
        self._session = Session(settings, self.wire, role=role, password=password)

    @property
    def must_read(self) -> bool:
        """Whether reading is due even if the caller takes no messages: before CONNACK, and at the end."""
        return self.accepted is None or self.ending

    @property
    def awaits_confirmation(self) -> bool:
        """Whether publishes of ours are on their way."""
        return self.outgoing is not None and len(self.outgoing) > 0

    def turn(self, *, reading: bool) -> None:
        """Send what is pushed, read what has come if `reading`, look after the keepalive; never waits.

        Raises:
            OSError: the connection is gone; ConnectionEnded and MalformedPacket are OSErrors too.
        """
        now = self._clock()
        if self.accepted is None:
            if now - self.since > CONNACK_TIMEOUT_S:
                raise Unanswered(f"the broker sent no CONNACK within {CONNACK_TIMEOUT_S:g} s")
        elif now >= self._check_at:
            self._check_at = now + KEEPALIVE_CHECK_S
            self._session.keep_alive(reading=reading)
            self._take_events()
        if not reading:
            self.quiet_since = now
        self._flush()
        if reading:
            self._read()
            self._flush()
        if self.outgoing is not None:
            self.outgoing.note_flushed()

    def subscribe(self, filters: Sequence[tuple[str, int]], *, forget: Sequence[str], retained: Sequence[str]) -> None:
        """Push UNSUBSCRIBE for `forget` and SUBSCRIBE for `filters`; what comes of it is in `answers` later."""
        if forget:
            self._session.unsubscribe(forget)
        self._session.subscribe(filters, retained=retained)

    def publish_all(
        self, positions: Sequence[int], topics: Sequence[str], bodies: Sequence[bytes], *, qos: int, retain: bool
    ) -> None:
        """Hand publishes over; before CONNACK nothing happens."""
        if self.outgoing is not None:
            self._published_at = self._clock()
            self.outgoing.publish_all(positions, topics, bodies, qos=qos, retain=retain)

    def push_status(self, text: str) -> None:
        """Push the retained status message."""
        self._session.push_status(text)

    def push_command(self, topic: str, body: bytes) -> None:
        """Push a message that nobody confirms and the broker does not keep."""
        self._session.push_command(topic, body)

    def finish(self, until: float) -> None:
        """Push DISCONNECT, send all, and read till the broker hangs up, but not beyond the instant `until`."""
        self._session.disconnect()
        try:
            while self.wire.backlog_bytes:
                self.wire.flush()
                if self.wire.backlog_bytes and not self._wait(select.POLLOUT, until):
                    return
            self.wire.end()
            while self._wait(select.POLLIN, until):
                self.wire.pull()
        except OSError:
            return  # the broker hung up: that is what we waited for

    def how_ended(self, failure: OSError) -> SessionEnd:
        """What kind of end it was that `failure`, raised by `turn`, tells of."""
        how: How = "otherwise"
        if isinstance(failure, ClosedByBroker):
            how = "closed"
        elif isinstance(failure, ConnectionEnded):
            how = "blamed" if failure.blamed else "otherwise"
        elif isinstance(failure, (ConnectionResetError, BrokenPipeError)):
            how = "reset"
        now = self._clock()
        since_publish_s = None if self._published_at is None else now - self._published_at
        return SessionEnd(now - self.since, how, since_publish_s)

    def close(self) -> None:
        """Close the socket."""
        self.wire.close()

    def _wait(self, events: int, until: float) -> bool:
        """Whether one of the poll events came before the instant `until`."""
        left_s = until - self._clock()
        if left_s <= 0:
            return False
        poller = select.poll()
        poller.register(self.wire.fileno(), events)
        return bool(poller.poll(left_s * 1000))

    def _flush(self) -> None:
        """Send; where that fails, what the broker said before it hung up is read all the same."""
        try:
            self.wire.flush()
        except OSError:
            with contextlib.suppress(ClosedByBroker):  # an end that was a reset is met as one in order the second time
                while self._read():
                    pass
            raise

    def _read(self) -> bool:
        """Read what has come, and take it; whether anything had."""
        chunk = self.wire.pull()
        if not chunk:
            return False
        inbound = self.inbound
        inbound.take(chunk)
        if inbound.messages:
            self.quiet_since = self._clock()
        if inbound.acks:
            if self.outgoing is not None:
                self.outgoing.take_acks(inbound.acks)
            inbound.acks.clear()
        if inbound.releases:
            self.wire.push(b"".join(map(write_pubcomp, inbound.releases)))
            inbound.releases.clear()
        if inbound.control:
            for packet in inbound.control:
                self._session.take(packet)
                self._take_events()
            inbound.control.clear()
        return True

    def _take_events(self) -> None:
        events, self._session.events = self._session.events, []
        for event in events:
            if isinstance(event, Ended):
                raise ConnectionEnded(event.reason, taken_over=event.taken_over, blamed=event.blamed, code=event.code)
            if isinstance(event, Accepted):
                self.accepted, self.since = event, self._clock()
                if self._role.publishes:
                    self.outgoing = self._new_outgoing(event)
            else:
                self.answers.extend(event.answers)

    def _new_outgoing(self, accepted: Accepted) -> Outgoing:
        settings = self._settings
        return Outgoing(self.wire, v5=settings.protocol == "5", window=settings.publish_window, limits=accepted.limits)
