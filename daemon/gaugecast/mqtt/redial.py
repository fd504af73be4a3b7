"""When to dial again, and when to see that another client uses our id."""

from __future__ import annotations

import random
import socket
from collections import deque
from collections.abc import Callable

from gaugecast.config.schema import Mqtt
from gaugecast.errors import ConfigError, SessionTaken
from gaugecast.mqtt.credentials import make_tls_context, read_password
from gaugecast.mqtt.dial import Dialer
from gaugecast.mqtt.role import Role
from gaugecast.mqtt.waiting import Interest

FIRST_DELAY_S = 0.1
SHORT_S = 3.0  # a session that ends sooner was hardly one
WINDOW_S = 30.0
RESOLVING_WAIT_S = 0.02  # a name that is being resolved has no descriptor to wait on


class Redial:
    """Attempt after attempt, with a pause that doubles, and the memory of sessions that ended at once.

    A broker that is away refuses to be dialled. One that accepts us again and again and soon closes the connection in
    order, without a word and with nothing of ours on its way, is being fought over by two clients with one id: MQTT
    3.1.1 has no word for it, and mosquitto 2.0.11 does not send MQTT 5's (0x8E). What a bad network does (resets,
    silence) is no fight, nor is hanging up on what we publish. Owned by the loop's thread.

    Attributes:
        dialer: The attempt under way, if any.
        at: When the next one may begin, on the link's monotonic clock.
        password: As read for the last attempt. Password and certificates are read anew each time: they get renewed.
    """

    def __init__(
        self, settings: Mqtt, role: Role, *, flap_limit: int, clock: Callable[[], float],
        may_dial: Callable[[], bool] = lambda: True,
    ) -> None:  # fmt: skip
        self.dialer: Dialer | None = None
        self.at = clock()
        self._settings, self._place = settings, role.place
        self.password = read_password(settings, self._place)
        make_tls_context(settings.tls, self._place)  # complain at the start, not at the first attempt
        self._may_dial = may_dial
        self._clock = clock
        self._failures = 0
        self._short: deque[float] = deque(maxlen=flap_limit)
        self._random = random.Random()

    def step(self) -> socket.socket | None:
        """Begin an attempt when its time has come, go on with it without waiting; return the open socket.

        Raises:
            SessionTaken: we may not dial any more: another process has taken our place.
            OSError: the attempt has failed.
            ConfigError: password or certificates cannot be read any more.
        """
        settings = self._settings
        try:
            if self.dialer is None:
                if self._clock() < self.at:
                    return None
                if not self._may_dial():
                    raise SessionTaken(f"expected to hold the lease of {settings.client_id!r}, another process does")
                self.password = read_password(settings, self._place)
                tls = make_tls_context(settings.tls, self._place)
                dead_after_s = 1.5 * settings.keepalive_s
                self.dialer = Dialer(settings.host, settings.port, tls, clock=self._clock, dead_after_s=dead_after_s)
            sock = self.dialer.step()
        except (OSError, ConfigError):
            self.note_failure()
            raise
        if sock is not None:
            self.dialer = None
        return sock

    def interest(self) -> Interest:
        """What to wait for: that the attempt can go on, or the next may begin."""
        dialer = self.dialer
        if dialer is None:
            return Interest(-1, most_s=max(self.at - self._clock(), 0.0))
        if dialer.fileno() < 0:
            return Interest(-1, most_s=RESOLVING_WAIT_S)
        return Interest(dialer.fileno(), read=not dialer.wants_write, write=dialer.wants_write)

    def note_failure(self) -> None:
        """An attempt has brought no session."""
        self.stop()
        self._short.clear()
        self._schedule()
        self._failures += 1

    def note_session(self, lived_s: float, *, fought: bool) -> None:
        """A session has ended.

        Args:
            fought: As another client with our id would end it: closed by the broker, nothing of ours on its way.

        Raises:
            SessionTaken: too many short ones of this kind within half a minute.
        """
        now = self._clock()
        if lived_s >= SHORT_S:
            self._failures = 0
            self._short.clear()
        else:
            self._failures = 2  # not at once again, yet soon enough to find out who is fighting
        self._schedule()
        if lived_s >= SHORT_S or not fought:
            return
        self._short.append(now)
        if len(self._short) == self._short.maxlen and now - self._short[0] < WINDOW_S:
            raise SessionTaken(
                f"expected to be alone with {self._place}.client_id {self._settings.client_id!r}, but the broker hung "
                f"up {len(self._short)} times within {WINDOW_S:g} s of accepting us: another client uses this id"
            )

    def stop(self) -> None:
        """Give up the attempt under way."""
        if self.dialer is not None:
            self.dialer.close()
            self.dialer = None

    def _schedule(self) -> None:
        """Set `at`: after half to all of the doubled delay, so that many clients do not come at once."""
        delay_s = min(self._settings.reconnect_max_s, FIRST_DELAY_S * 2.0 ** min(self._failures, 20))
        self.at = self._clock() + delay_s * self._random.uniform(0.5, 1.0)
