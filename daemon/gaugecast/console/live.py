"""Server-sent events: the daemon's state each second, and a stream's rows with each of its steps."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from gaugecast.console import asked, shapes, views
from gaugecast.console.answers import fault
from gaugecast.console.views import World
from gaugecast.errors import GaugecastError

STATUS_S, LOOK_S = 1.0, 0.1
#: Browsers come back after so long.
_RETRY_MS = 1000
MOST_VIEWERS = 64


class Live:
    """All who look. Of the event loop's thread; questions to disk and daemon go to other threads.

    Attributes:
        ending: Set by whoever ends the server: the listeners are let go.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self.ending = False
        self._viewers = 0
        self._looked_at_s, self._seq = float("-inf"), 0

    async def answer(self, request: Request) -> Response:
        """The events, for as long as they are listened to."""
        fleet, stream = (request.query_params.get(name, "")[:256] for name in ("fleet", "stream"))
        if self._viewers >= MOST_VIEWERS:
            return fault(503, f"expected at most {MOST_VIEWERS} who look at once")
        watched = asked.StreamParams(fleet=fleet, stream=stream) if fleet and stream else None
        return StreamingResponse(self._events(watched), media_type="text/event-stream")

    async def _events(self, watched: asked.StreamParams | None) -> AsyncIterator[bytes]:
        self._viewers += 1
        try:
            yield f"retry: {_RETRY_MS}\n\n".encode()
            status_at_s, step, seq = float("-inf"), -1, -1
            while not self.ending:
                now_s = time.monotonic()
                if now_s - status_at_s >= STATUS_S:
                    status_at_s = now_s
                    yield _event("status", await run_in_threadpool(views.status, self._world, asked.Nothing()))
                if watched is not None and (newest := await self._newest()) != seq:
                    seq = newest
                    view = await self._stream(watched)
                    if view is not None and view.rows[0].step != step:
                        step = view.rows[0].step
                        yield _event("stream", view)
                await asyncio.sleep(LOOK_S)
        finally:
            self._viewers -= 1

    async def _newest(self) -> int:
        """The ledger's newest input: only where it is another is the daemon asked. One look for all viewers."""
        now_s = time.monotonic()
        if now_s - self._looked_at_s >= LOOK_S / 2:
            self._looked_at_s = now_s
            try:
                self._seq = await run_in_threadpool(self._world.past.last_seq)
            except GaugecastError:
                self._seq = -1
        return self._seq

    async def _stream(self, watched: asked.StreamParams) -> shapes.StreamView | None:
        try:
            return await run_in_threadpool(views.stream, self._world, watched)
        except GaugecastError:
            return None  # the status says why


def _event(name: str, content: msgspec.Struct) -> bytes:
    return b"event: " + name.encode() + b"\ndata: " + msgspec.json.encode(content) + b"\n\n"
