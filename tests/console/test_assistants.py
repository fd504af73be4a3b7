"""`gaugecast mcp`, asked by the SDK's own client as an assistant asks it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anyio
import pytest
from mcp import Client, StdioServerParameters
from typer.testing import CliRunner

from gaugecast.cli.main import app
from gaugecast.console.assistants import TOOLS
from gaugecast.errors import ConfigError
from support.daemon import DaemonProcess, gaugecast_command


def asked(daemon: DaemonProcess, talk: Callable[[Client], Coroutine[Any, Any, None]]) -> None:
    """Talk to a process of its own."""
    command, *words = gaugecast_command()
    words += ["mcp", "-c", str(daemon.config_path)]
    server = StdioServerParameters(command=command, args=words, env=dict(os.environ))

    async def session() -> None:
        with anyio.fail_after(60):
            async with Client(server) as client:
                await talk(client)

    with ThreadPoolExecutor(1) as apart:  # a browser's loop may run in this thread
        apart.submit(anyio.run, session).result()


@pytest.mark.long
def test_an_assistant_finds_a_stream_and_what_was_expected_of_it(daemon: DaemonProcess) -> None:
    """The tools are those of the API, read-only, each with a schema; answers are JSON, faults are said."""

    async def talk(client: Client) -> None:
        tools = (await client.list_tools()).tools
        assert {tool.name for tool in tools} == set(TOOLS)
        assert all(tool.annotations is not None and tool.annotations.read_only_hint for tool in tools)
        assert all(tool.input_schema["type"] == "object" for tool in tools)

        async def tell(name: str, **arguments: Any) -> Any:
            answer = await client.call_tool(name, arguments)
            (content,) = answer.content
            return answer.is_error, content.text

        assert json.loads((await tell("status"))[1])["sentence"].startswith("forecasting")
        (row,) = json.loads((await tell("streams", search="t1 flow"))[1])["rows"]
        named = {"fleet": row["fleet"], "stream": row["stream"]}
        assert json.loads((await tell("stream", **named))[1])["rows"]
        assert json.loads((await tell("series", **named, feature="flow"))[1])["expected"]
        why, then = [json.loads((await tell(name, **named, at_s=row["at_s"]))[1]) for name in ("explain", "replay")]
        assert (why["moments"][-1]["at_s"], then["rows"][0]["at_s"]) == (row["at_s"], row["at_s"])
        assert (why["differing"], then["differing"]) == (0, 0)
        assert "`explain`" in (client.instructions or "")
        assert await tell("stream", fleet="tanks", stream="none") == (
            True, "no stream 'none' of fleet 'tanks' is active"
        )  # fmt: skip
        assert (await tell("series", fleet=1))[0]
        assert (await tell("nothing"))[0]

    asked(daemon, talk)


def test_without_the_sdk_it_says_what_to_install(daemon: DaemonProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bad configuration, with the mend."""
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    refused = CliRunner().invoke(app, ["mcp", "-c", str(daemon.config_path)]).exception
    assert isinstance(refused, ConfigError)
    assert "gaugecast[mcp]" in str(refused)
