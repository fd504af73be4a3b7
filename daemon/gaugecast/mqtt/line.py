"""One client id at a broker, over as many connections as it takes: dial, turn, end, dial again."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Protocol

from gaugecast.config.schema import Mqtt
from gaugecast.errors import ConfigError, SessionTaken
from gaugecast.mqtt.causes import Unanswered, explain_failure
from gaugecast.mqtt.connection import Connection, ConnectionEnded
from gaugecast.mqtt.facts import Connect, LineCounters, SessionEnd
from gaugecast.mqtt.redial import Redial
from gaugecast.mqtt.role import Role
from gaugecast.mqtt.waiting import Interest, Waiter


class Side(Protocol):
    """Who uses a line: our subscriber or our sender."""

    def begun(self, connection: Connection, connect: Connect) -> None:
        """CONNACK came; what is pushed now is sent at once."""

    def turned(self, connection: Connection) -> None:
        """A turn is over, perhaps the last: take what it has brought."""

    def ended(self) -> bool:
        """The connection is over; what it still knows is to be taken before it is closed.

        Returns whether something had just been asked for that some brokers hang up on.
        """


class Line:
    """Owned by the loop's thread.

    A broker that is down, refuses us, or cannot be resolved is a state (`connected`, `fault`), not an exception.

    Attributes:
        connected: CONNACK came and the connection has not ended since.
        epoch: Number of the current or last connection, from 1; 0 before the first.
        fault: Why the last connection or attempt ended; `None` while connected.
        connection: From the open socket on.
    """

    def __init__(
        self,
        settings: Mqtt,
        role: Role,
        *,
        side: Side,
        counters: LineCounters,
        waiter: Waiter,
        flap_limit: int,
        clock: Callable[[], float],
        may_dial: Callable[[], bool] = lambda: True,
    ) -> None:
        """Prepare; the first turn dials.

        Raises:
            ConfigError: password or certificate files cannot be read now; later this is a state.
        """
        self.connected = False
        self.epoch = 0
        self.fault: str | None = None
        self.connection: Connection | None = None
        self._settings, self._role, self._side = settings, role, side
        self._counters, self._waiter, self._clock = counters, waiter, clock
        self._redial = Redial(settings, role, flap_limit=flap_limit, clock=clock, may_dial=may_dial)
        self._ended: SessionEnd | None = None
        self._hang_ups = 0  # in a row, at CONNECT

    def turn(self, *, reading: bool) -> None:
        """Do what can be done without waiting: dial, or write, and read if `reading`.

        Raises:
            SessionTaken: another client uses our client id.
        """
        connection = self.connection
        if connection is None:
            self._dial()
            return
        accepted = connection.accepted is not None
        try:
            connection.turn(reading=reading or connection.must_read)
            self._side.turned(connection)
            if not accepted and connection.accepted is not None:
                self._begin(connection)
        except OSError as exc:
            self._side.turned(connection)
            self._end(connection, exc)

    def interest(self, *, reading: bool) -> Interest:
        """What to wait for before the next turn makes sense."""
        connection = self.connection
        if connection is None:
            return self._redial.interest()
        reading, wire = reading or connection.must_read, connection.wire
        found = Interest(wire.fileno(), read=reading, write=wire.backlog_bytes > 0)
        return found._replace(most_s=0.0) if reading and wire.more else found

    def note_ended(self, descriptors: set[int]) -> None:
        """The other side of these has ended: if ours is among them, what it sent before is still to be read."""
        if self.connection is not None and self.connection.wire.fileno() in descriptors:
            self.connection.ending = True

    def hang_up(self) -> bool:
        """Close what there is; the next turn would dial. Returns what `Side.ended` does."""
        self.connected = False
        asked = self._side.ended()
        self._redial.stop()
        if self.connection is not None:
            self._waiter.forget(self.connection.wire.fileno())
            self.connection.close()
            self.connection = None
        return asked

    def _dial(self) -> None:
        try:
            sock = self._redial.step()
        except (OSError, ConfigError) as exc:
            self._note_failed_dial(exc, connected=False)
            return
        if sock is not None:
            self.connection = self._connection_on(sock)
            self.turn(reading=False)

    def _connection_on(self, sock: socket.socket) -> Connection:
        password = self._redial.password
        role = self._role if self._kept else self._role.unkept()
        return Connection(sock, self._settings, role=role, password=password, epoch=self.epoch + 1, clock=self._clock)

    @property
    def _kept(self) -> bool:
        """Whether a last will is to be retained: MQTT 3.1.1 has no word against it, so such a broker hangs up."""
        return self._settings.protocol == "5" or self._hang_ups % 3 != 2

    def _begin(self, connection: Connection) -> None:
        accepted = connection.accepted
        assert accepted is not None
        if self._kept:
            self._hang_ups = 0
        self._counters.reconnects_total += self.epoch > 0
        self.epoch, self.connected, self.fault = connection.epoch, True, None
        self._side.begun(connection, Connect(self.epoch, accepted.session_present, self._ended))
        connection.wire.flush()

    def _end(self, connection: Connection, failure: OSError) -> None:
        """The connection is over; what was read of it stays to be taken, and is not acked any more."""
        idle = not connection.awaits_confirmation
        idle &= not self.hang_up()
        if connection.accepted is None:
            if isinstance(failure, ConnectionEnded):
                self._role = self._role.without(failure.code)
            elif not isinstance(failure, Unanswered):
                self._hang_ups += 1
            self._redial.note_failure()
            self._note_failed_dial(failure, connected=True)
            return
        self.fault = str(failure)
        self._ended = ended = connection.how_ended(failure)
        if isinstance(failure, ConnectionEnded) and failure.taken_over:
            raise SessionTaken(
                f"expected to be alone with {self._role.place}.client_id {self._settings.client_id!r}, but the broker "
                f"says: {failure}"
            )
        self._redial.note_session(ended.lived_s, fought=ended.how == "closed" and idle)

    def _note_failed_dial(self, failure: Exception, *, connected: bool) -> None:
        self.fault = explain_failure(failure, self._settings, self._role, connected=connected)
        self._counters.failed_dials_total += 1
