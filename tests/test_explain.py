"""`gaugecast explain`, on a ledger that the shipped core has written."""

from __future__ import annotations

import json
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import anyio
import pytest
from mcp import Client
from typer.testing import CliRunner

from gaugecast.cli.main import app
from gaugecast.config import load_settings, resolve_fleets
from gaugecast.config.schema import Loop
from gaugecast.console.assistants import make_server
from gaugecast.errors import WrongUse
from gaugecast.model import save_model
from gaugecast.service.explaining import Asked, Explained, Instead, explain
from gaugecast.service.showing import world_at
from gaugecast.testing import T0, LocalDaemon, model_for
from support.watched_plant import BREAKS, END, say, written_config


class Plant(NamedTuple):
    """What a daemon has left, and what it told of anomalies."""

    config: Path
    told: list[dict[str, Any]]

    def at(self, tick: int, *, steps: int = 20, stream: str = "a", instead: Instead | None = None) -> Explained:
        """The last steps up to a tick."""
        asked = Asked(stream, None, T0 + tick * 10**9 + 1, steps)
        return explain(self.config.parent / "state", Loop(new_streams_per_s=1e6), asked, instead)

    def run(self, *words: str) -> Any:
        """The command, at the tick at which the anomaly is open."""
        at = f"2023-11-14T22:{13 + (20 + BREAKS + 15) // 60:02}:{(20 + BREAKS + 15) % 60:02}.5Z"
        return CliRunner().invoke(app, ["explain", *words, "-c", str(self.config), "--at", at], env={"COLUMNS": "150"})


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Plant:
    """Restarted in between, so that there is a checkpoint to begin at."""
    config = written_config(tmp_path_factory.mktemp("plant"))
    with LocalDaemon.from_config(config, directory=config.parent / "state") as daemon:
        told = say(daemon, 0, 110)
        daemon.restart()
        told += say(daemon, 110, END)
    return Plant(config, told)


def test_what_was_published_is_made_again_byte_for_byte(plant: Plant) -> None:
    """Of one stream alone, from a checkpoint in the middle: forecasts and what was told of its anomaly."""
    found = plant.at(BREAKS + 15)
    assert (found.fleet, found.stream, found.differing, found.elsewhere) == ("tanks", "a", 0, False)
    assert found.compared == 20 + sum(len(moment.told) for moment in found.moments)
    assert [moment.at_s - T0 / 1e9 for moment in found.moments] == list(range(BREAKS - 4, BREAKS + 16))


def test_it_says_what_the_message_said(plant: Plant) -> None:
    """Reason and score are those of the event; detectors add up to the score; the interval is the one told before."""
    (begin,) = [one for one in plant.told if one["event"] == "begin"]
    found = plant.at(BREAKS + 15)
    (moment,) = [one for one in found.moments if "begin" in one.told]
    assert moment.at_s == begin["at"]
    assert moment.reason == begin["reason"]
    p = moment.features["p"]
    assert p.score == pytest.approx(begin["features"]["p"]["score"], abs=1e-3)
    assert p.score == pytest.approx(max(p.detectors.values()), abs=1e-3)
    assert p.lower is not None
    assert p.upper is not None
    assert p.expected is not None
    assert p.lower <= p.expected <= p.upper
    assert found.moments[-1].open in ("warning", "critical")
    assert not plant.at(BREAKS - 1).moments[-1].open


def test_another_configuration_goes_over_the_same_readings(plant: Plant) -> None:
    """All that was learned counts: less tolerant limits find more, others nothing."""
    tried = written_config(plant.config.parent, "tried.toml", "tolerance = 50.0")
    (fleet,) = resolve_fleets(load_settings(tried, {}))
    found = plant.at(BREAKS + 15, instead=Instead(fleet))
    assert found.instead is not None
    assert [one.at_s for one in found.instead] == [one.at_s for one in found.moments]
    assert not any(one.open for one in found.instead)
    assert found.moments[-1].open
    score = found.moments[-1].features["p"].score
    assert score is not None
    assert found.instead[-1].features["p"].score == pytest.approx(score / 50, rel=0.05)


def test_another_model_forecasts_the_same_readings(plant: Plant, tmp_path: Path) -> None:
    """Its forecasts are not the last value again; those of then stay what they were."""
    tried = tmp_path / "tried.toml"
    tried.write_text(plant.config.read_text().replace('horizons = ["1s", "3s"]', ""))
    (fleet,) = resolve_fleets(load_settings(tried, {}))
    save_model(model_for(fleet), tmp_path)
    ran = plant.run("a", "--model", str(tmp_path), "--other-config", str(tried), "--json", "--steps", "5")
    assert ran.exit_code == 0, ran.output
    found = json.loads(ran.stdout)
    assert found["differing"] == 0
    pairs = zip(found["moments"], found["instead"], strict=True)
    assert all(then["features"]["p"]["observed"] == now["features"]["p"]["observed"] for then, now in pairs)
    assert all(now["features"]["p"]["forecast"] != now["features"]["p"]["observed"] for now in found["instead"])


def test_the_terminal_and_the_page_say_it_all(plant: Plant, tmp_path: Path) -> None:
    """Table, detectors, reason, how it was compared; the page has a picture and needs no network."""
    page = tmp_path / "why.html"
    ran = plant.run("a", "-o", str(page), "--other-config", str(plant.config), "--steps", "20")
    assert ran.exit_code == 0, ran.output
    reason = plant.at(BREAKS + 15).moments[-1].reason
    for text in ("byte for byte", "interval", "reference", reason, "With what was tried"):
        assert text in ran.output, text
    written = page.read_text()
    assert reason in written
    assert written.count("data:image/png;base64,") == 2
    assert "http" not in written.replace("http-equiv", "")


async def asked(client: Client, name: str, **arguments: Any) -> Any:
    """What a tool answers."""
    answer = await client.call_tool(name, arguments)
    (content,) = answer.content
    assert not answer.is_error, content
    return json.loads(content.text)


def test_an_assistant_answers_why_a_tank_alarmed(plant: Plant) -> None:
    """By the SDK's own client: from the event to readings, scores, the reason and the path ahead, as they were known
    then; and what a history of one's own would have led to."""
    (begin,) = [one for one in plant.told if one["event"] == "begin"]
    world = world_at(plant.config, plant.config.parent / "state", Loop(new_streams_per_s=1e6))

    async def talk() -> None:
        async with Client(make_server(world)) as client:
            tell = partial(asked, client)
            names = {tool.name for tool in (await client.list_tools()).tools}
            assert {"streams", "forecast", "events", "explain", "replay"} <= names
            (event,) = (await tell("events", kind="anomaly"))["rows"]
            assert (event["stream"], event["alarm_s"]) == ("a", begin["at"])
            at = {"fleet": event["fleet"], "stream": event["stream"], "at_s": event["alarm_s"]}
            why = await tell("explain", **at, steps=5)
            assert (len(why["moments"]), why["differing"]) == (5, 0)
            last = why["moments"][-1]
            assert (last["told"], last["reason"]) == (["begin"], begin["reason"])
            p = last["features"]["p"]
            assert p["score"] == pytest.approx(max(p["detectors"].values()), abs=1e-3)
            assert p["score"] >= 1
            then = await tell("replay", **at)
            assert (then["rows"][0]["at_s"], then["differing"]) == (begin["at"], 0)
            assert [one["in_s"] for one in then["rows"][0]["ahead"]] == [1.0, 3.0]
            own = await tell("forecast", fleet="tanks", at_s=[1.0, 2.0], values={"p": [9.5, 9.6], "q": [50, 51]})
            assert [one["ahead"][0]["forecast"] for one in own["rows"]] == [9.6, 51.0]

    with closing(world.past):
        anyio.run(talk)


def test_who_asks_for_what_is_not_there_is_told(plant: Plant) -> None:
    """No such stream, or nothing of it so early."""
    with pytest.raises(WrongUse, match="no readings of a stream 'gone'"):
        plant.at(100, stream="gone")
    with pytest.raises(WrongUse, match="no readings of 'a' up to then"):
        plant.at(-10)
