"""A wait for the broker ends where somebody else wants something of the loop."""

from __future__ import annotations

import os
import threading

from gaugecast.config.schema import Mqtt
from gaugecast.mqtt import Link
from support.mosquitto import free_port, wait_until

FOR_EVER_S = 3600.0


def test_somebody_who_asks_ends_a_wait() -> None:
    """Without a broker, so that nothing else would; and whoever is not heard yet ends the next one, too."""
    ours, theirs = os.pipe()
    link = Link(Mqtt(host="127.0.0.1", port=free_port()), [("a", 1)], caller=ours)
    polls: list[list[object]] = []

    def poll() -> None:
        for _ in range(2):
            polls.append(list(link.poll(10, FOR_EVER_S)))

    waiting = threading.Thread(target=poll, daemon=True)
    waiting.start()
    os.write(theirs, b"?")
    wait_until(lambda: len(polls) == 2, what="a wait that ends")
    assert polls == [[], []]
    waiting.join()
    link.close(0)
    os.close(ours)
    os.close(theirs)


def test_without_a_caller_a_wait_takes_its_time() -> None:
    """Of none: it is over when it is, and nothing came."""
    link = Link(Mqtt(host="127.0.0.1", port=free_port()), [("a", 1)])
    assert link.poll(10, 0.01) == []
    link.close(0)
