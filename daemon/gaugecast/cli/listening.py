"""Listening to a broker as a guest: clients of our own, which leave nothing behind."""

from __future__ import annotations

import os
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Final

from gaugecast.config.schema import Mqtt
from gaugecast.errors import Unreachable
from gaugecast.mqtt import Link
from gaugecast.payloads.discovery import Came

POLL_S: Final = 0.2
_BATCH = 1000
_MOST_TOPICS = 20_000
_MOST_OF_A_TOPIC = 64
Monotonic = Callable[[], float]


def visitor_of(mqtt: Mqtt) -> Mqtt:
    """Clients of its own, so that the daemon's connections, session and status are left alone; they say no status.

    Its session ends with it. MQTT 3.1.1 cannot say that, so there its id is always the same: one session stays at
    the broker, and not one a check.
    """
    own = f"-check-{os.getpid()}" if mqtt.protocol == "5" else "-check"
    publish = mqtt.publish.model_copy(update={"client_id": f"{mqtt.publishing.client_id}{own}"})
    return mqtt.model_copy(
        update={"client_id": f"{mqtt.client_id}{own}", "publish": publish, "session_expiry_s": 0, "status_topic": ""}
    )


def listen(
    mqtt: Mqtt, topics: str, seconds: float, *, retained: bool, monotonic: Monotonic = time.monotonic
) -> dict[str, list[Came]]:
    """What comes in some seconds, by topic, the newest of each. Bounded.

    Raises:
        Unreachable: No connection within the time, or the broker refuses the topics.
    """
    heard: dict[str, list[Came]] = defaultdict(list)
    link = Link(visitor_of(mqtt), [(topics, 0)], retained=(topics,) if retained else ())
    until, connected = monotonic() + seconds, False
    try:
        while (left := until - monotonic()) > 0:
            messages = link.poll(_BATCH, min(left, POLL_S))
            connected = connected or link.subscriber.connected
            now_ns = time.time_ns()
            for message in messages:
                if is_foreign(message.topic) and (message.topic in heard or len(heard) < _MOST_TOPICS):
                    if message.retain and not retained:
                        continue
                    came = Came(now_ns, message.payload, message.retain)
                    heard[message.topic] = [*heard[message.topic], came][-_MOST_OF_A_TOPIC:]
        deaf, fault = link.subscriber.deaf, link.subscriber.last_error
    finally:
        link.close(0.2)
    if not connected:
        raise Unreachable(f"no connection with {mqtt.host}:{mqtt.port}: {fault or 'no answer'}")
    if deaf is not None and not heard:
        raise Unreachable(f"{deaf}; name topics that this account may read with --topics")
    return dict(heard)


def is_foreign(topic: str) -> bool:
    """Whether a topic is neither ours nor the broker's own."""
    return not topic.startswith(("$SYS/", "gaugecast/"))
