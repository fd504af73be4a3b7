"""The API as tools of the Model Context Protocol, over standard input and output: for assistants, read-only."""

from __future__ import annotations

from typing import Any

import anyio
import msgspec
from anyio import to_thread
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from mcp.types import CallToolRequestParams, CallToolResult, ListToolsResult, TextContent, Tool, ToolAnnotations

from gaugecast import __version__
from gaugecast.console.endpoints import ENDPOINTS, Endpoint
from gaugecast.console.views import World
from gaugecast.errors import GaugecastError

#: Pictures for a page are no tool, and assistants change nothing.
TOOLS = {one.path.strip("/"): one for one in ENDPOINTS if one.path != "/sparks" and not one.writes}
INSTRUCTIONS = (
    "What a gaugecast daemon does: it forecasts sensor streams. Begin with `status`, find a stream with `streams`; "
    "`stream` tells what is expected of it and when thresholds will be crossed, `series` what was observed and what "
    "had been expected of it. Why something alarmed: `events` has what was strange and which crossings were foretold, "
    "with the reason as it was told; `explain` at the event's `alarm_s` has readings, forecasts, intervals, each "
    "detector's score and the reason, as they were known then; `replay` has the path ahead as it was expected then. "
    "Both compute it again from the ledger and compare each message with what was published: `differing` 0 means that "
    "it is what was really known. `forecast` forecasts a history that you send. Times are Unix seconds UTC; "
    "residual = observed - expected; score 1.0 is the limit; skill 0 is no better than repeating the last value. "
    "Nothing that is asked changes anything."
)


def serve_tools(world: World) -> None:
    """Answer until standard input ends."""
    anyio.run(_serve, world)


async def _serve(world: World) -> None:
    server = make_server(world)
    async with stdio_server() as (incoming, outgoing):
        await server.run(incoming, outgoing, server.create_initialization_options())


def make_server(world: World) -> Server[Any]:
    """The server, on whatever streams it will run."""

    async def list_tools(*_: Any) -> ListToolsResult:
        return ListToolsResult(tools=[_tool(name, one) for name, one in TOOLS.items()])

    async def call_tool(_: Any, asked: CallToolRequestParams) -> CallToolResult:
        return await to_thread.run_sync(_call, world, asked.name, asked.arguments or {})

    return Server(
        "gaugecast", version=__version__, instructions=INSTRUCTIONS, on_list_tools=list_tools, on_call_tool=call_tool
    )


def _tool(name: str, one: Endpoint) -> Tool:
    hints = ToolAnnotations(read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False)
    _, components = msgspec.json.schema_components([one.asked])
    schema = components[one.asked.__name__]
    return Tool(name=name, description=one.about, input_schema=schema, annotations=hints)


def _call(world: World, name: str, arguments: dict[str, Any]) -> CallToolResult:
    """An answer as JSON, or why there is none; either is for the assistant to read."""
    one = TOOLS.get(name)
    if one is None:
        return _said(f"expected one of {', '.join(TOOLS)}, got {name[:64]!r}", wrong=True)
    try:
        return _said(msgspec.json.encode(one.act(world, msgspec.convert(arguments, one.asked, strict=False))).decode())
    except (GaugecastError, msgspec.ValidationError) as exc:
        return _said(str(exc), wrong=True)


def _said(text: str, *, wrong: bool = False) -> CallToolResult:
    return CallToolResult(content=[TextContent(type="text", text=text)], is_error=wrong)
