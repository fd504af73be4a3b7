"""The child process of `broker`: amqtt, configured for one machine, quiet.

Quirks of amqtt 0.12, and what is done about them:
- `AnonymousAuthPlugin` marks sessions as anonymous, and those are deleted within a second of disconnecting, persistent
  or not: `OpenDoor` lets everybody in without the mark.
- What was queued for an absent session is delivered with RETAIN set, against MQTT-3.3.1-9, so that a subscriber which
  ignores retained messages would drop it: `LocalBroker` delivers it without.
- What a publisher sent just before it disconnected is acked, but dropped if it was not passed on yet: `LocalBroker`
  passes it on first.
- A returning client's SUBSCRIBE is read only when all that was queued for it is acked: a client that waits for the
  SUBACK first would wait 5 s for each message. `LocalBroker` does not wait for those acks.
- Not mended: a message that was sent but not acked when its connection ended, or not within 5 s, is dropped; each new
  connection gets the retained messages of everybody's filters; QoS 0 messages are delivered at the subscriber's QoS;
  sessions and retained messages live in memory only.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from typing import TYPE_CHECKING, Any

from amqtt.broker import Broker
from amqtt.plugins.base import BaseAuthPlugin

if TYPE_CHECKING:
    from amqtt.session import Session


class OpenDoor(BaseAuthPlugin):  # type: ignore[misc]  # amqtt has no types
    """Lets everybody in, and keeps their sessions."""

    async def authenticate(self, *, session: Session) -> bool:  # noqa: ARG002
        """Yes."""
        return True


class LocalBroker(Broker):  # type: ignore[misc]  # amqtt has no types
    """amqtt's broker, with queued messages delivered as what they are, and none forgotten that was acked."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self._flows: set[asyncio.Future[Any]] = set()  # asyncio itself holds tasks weakly

    async def _handle_disconnect(self, client_session: Session, handler: Any, disconnect_waiter: Any) -> None:
        taken = client_session.delivered_message_queue
        while not taken.empty():
            message: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
            message.set_result(taken.get_nowait())
            await self._handle_message_delivery(client_session, handler, message)
        await super()._handle_disconnect(client_session, handler, disconnect_waiter)

    async def _publish_session_retained_messages(self, session: Session) -> None:
        entry = self.sessions.get(session.client_id)
        if entry is None:
            return
        while not session.retained_messages.empty():
            queued = session.retained_messages.get_nowait()
            flow = asyncio.ensure_future(entry[1].mqtt_publish(queued.topic, queued.data, queued.qos, retain=False))
            self._flows.add(flow)
            flow.add_done_callback(self._flows.discard)


def configuration(port: int) -> dict[str, Any]:
    """amqtt's settings: one listener on the loopback, no $SYS topics, no packet log."""
    return {
        "listeners": {"default": {"type": "tcp", "bind": f"127.0.0.1:{port}", "max_connections": 0}},
        "plugins": {"gaugecast_sim.embedded.OpenDoor": {}},
    }


async def serve(port: int) -> None:
    """Listen, say `port N` on stdout, and stay until stdin is closed."""
    broker = LocalBroker(configuration(port), plugin_namespace="gaugecast_sim.none")
    await broker.start()
    listening = broker._servers["default"].instance.sockets[0].getsockname()[1]
    print(f"port {listening}", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.buffer.read)


def main() -> None:
    """Entry of the child: one argument, the port."""
    logging.basicConfig(level=logging.CRITICAL)
    logging.getLogger("amqtt").setLevel(logging.CRITICAL)
    asyncio.run(serve(int(sys.argv[1])))


if __name__ == "__main__":
    try:
        main()
    finally:
        sys.stdout.flush()
    os._exit(0)  # open connections would hold a polite shutdown for seconds
