"""The edge to the broker: two connections, one thread, no queue but the kernel's and the broker's.

`Link` is what others use. Below it, `subscriber` and `sender`, each over a `line`: one client id and its `role`.
`redial` decides when to dial and `dial` opens the socket, without blocking; `connection` is one connection:
`wire` buffers its socket, `session` speaks the control packets (CONNECT, SUBSCRIBE, PINGREQ, …) with paho's help,
`packets` reads and writes the two that pass once a message (PUBLISH, PUBACK), `outgoing` keeps the window of our
publishes. `subscriptions` are what the broker shall send, over all connections; `waiting` waits for all sockets at
once; `reasons` puts the broker's codes in words.
"""

from gaugecast.mqtt.facts import Connect, SessionEnd
from gaugecast.mqtt.link import Link
from gaugecast.mqtt.sender import Sender
from gaugecast.mqtt.subscriber import Subscriber

__all__ = ["Connect", "Link", "Sender", "SessionEnd", "Subscriber"]
