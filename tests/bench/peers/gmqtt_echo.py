"""A bare echo with gmqtt on uvloop: the fastest client in Python that is at hand."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import gmqtt
import uvloop


async def main() -> None:
    """Echo until killed."""
    port, qos = int(sys.argv[1]), int(sys.argv[2])
    client = gmqtt.Client("peer")

    async def on_message(client: Any, topic: str, payload: bytes, _qos: int, _properties: Any) -> int:
        client.publish("echo" + topic[4:], payload, qos=qos)
        return 0

    client.on_message = on_message
    client.on_connect = lambda client, *_: client.subscribe("load/#", qos=qos)
    client.on_subscribe = lambda client, *_: client.publish("ready", b"", qos=1)
    await client.connect("127.0.0.1", port)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main())
