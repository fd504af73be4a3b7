"""The edge to the broker: one connection, one thread, no queue but the kernel's and the broker's.

`Link` is what others use. Below it:
`redial` decides when to dial and `dial` opens the socket, without blocking; `connection` is one connection:
`wire` buffers its socket, `session` speaks the control packets (CONNECT, SUBSCRIBE, PINGREQ, …) with paho's help,
`packets` reads and writes the two that pass once a message (PUBLISH, PUBACK), `outgoing` keeps the window of our
publishes. `subscriptions` are what the broker shall send, over all connections; `reasons` puts its codes in words.
"""

from gaugecast.mqtt.facts import Connect, LinkCounters, SessionEnd
from gaugecast.mqtt.link import Link

__all__ = ["Connect", "Link", "LinkCounters", "SessionEnd"]
