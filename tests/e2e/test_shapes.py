"""Every shape of message through a broker, a kill in between, and a replay to the byte."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import msgspec

from e2e.scenes import send_tanks, tanks_config, tanks_plan
from gaugecast.payloads.formats.influx import parse_influx
from support.daemon import run_command, run_daemon
from support.mosquitto import Heard, Mosquitto, RawClient, wait_until

SHAPES = """
output = "out/json/{stream}"
horizon = 2
[[fleet.tanks.shape]]
format = "flat"
output = "out/flat/{stream}"
[[fleet.tanks.shape]]
format = "number"
output = "out/number/{stream}/{feature}/{horizon}"
[[fleet.tanks.shape]]
format = "influx"
output = "out/influx/{stream}"
[[fleet.tanks.shape]]
format = "flat"
batch = true
output = "out/batch/{fleet}"
[[fleet.tanks.shape]]
format = "influx"
batch = true
output = "out/lines"
"""
STREAMS, ROUNDS = 4, 10


def firsts(heard: list[Heard], prefix: str) -> Iterator[Heard]:
    """Messages on topics that begin so, without copies: those are equal to the byte."""
    found: dict[tuple[str, bytes], Heard] = {}
    for one in heard:
        if one.topic.startswith(prefix):
            found.setdefault((one.topic, one.payload), one)
    return iter(found.values())


def rows_of(heard: list[Heard]) -> list[dict[str, Any]]:
    """All that the batches of flat messages said, and that their names are unique."""
    batches = [msgspec.json.decode(one.payload) for one in firsts(heard, "out/batch/tanks")]
    names = [(one["fleet"], one["lineage"], one["batch"]) for one in batches]
    assert len(set(names)) == len(names)
    return [row for batch in batches for row in batch["forecasts"]]


def lines_of(heard: list[Heard], prefix: str) -> set[bytes]:
    """Lines on these topics."""
    return {line for one in firsts(heard, prefix) for line in one.payload.splitlines()}


def check_schemas(heard: list[Heard], schemas: dict[str, Any]) -> None:
    """Each message is what `gaugecast schema` says of its topic."""
    names = {"json": "json", "flat": "flat", "number": "number", "influx": "influx", "batch": "flat.batch",
             "lines": "influx.batch"}  # fmt: skip
    for one in heard:
        name = names[one.topic.split("/")[1]]
        said = one.payload.decode() if "influx" in name else msgspec.json.decode(one.payload)
        jsonschema.validate(said, schemas[f"tanks.{name}"])


def test_every_shape_comes_whole_and_is_replayed_to_the_byte(tmp_path: Path, broker: Mosquitto) -> None:
    """The same numbers in each; `kill -9` cuts no batch in two, and splits none another way."""
    count = STREAMS * ROUNDS
    config = tanks_config(broker.port, fleet=SHAPES)
    with RawClient(broker, subscribe="out/#") as listener, run_daemon(tmp_path / "d", config) as daemon:
        send_tanks(broker, count // 2, streams=STREAMS)
        daemon.wait_metric("gaugecast_readings_total", count // 2, outcome="stepped")
        daemon.kill()
        daemon.start()
        send_tanks(broker, count // 2, first=count // 2, streams=STREAMS)
        wait_until(lambda: len(rows_of(listener.heard)) == count, what=lambda: f"{len(rows_of(listener.heard))} rows")
        wait_until(lambda: len(list(firsts(listener.heard, "out/number/"))) >= 4 * count - STREAMS * 2, what="numbers")
        wait_until(lambda: daemon.metrics().total("gaugecast_unconfirmed_outputs") == 0, what="all confirmed")
        heard = list(listener.heard)
        assert daemon.stop() == 0
        found = run_command("replay", "-c", str(daemon.config_path))
        schemas = msgspec.json.decode(run_command("schema", "-c", str(daemon.config_path)).stdout)
    check_schemas(heard, schemas)
    assert found.returncode == 0, found.stdout + found.stderr
    assert "messages reproduced byte for byte" in found.stdout
    full = [msgspec.json.decode(one.payload) for one in firsts(heard, "out/json/")]
    assert sorted((one["stream"], one["step"]) for one in full) == [
        (tanks_plan(STREAMS).stream_name(number), step + 1) for number in range(STREAMS) for step in range(ROUNDS)
    ]
    flat = {(one.topic.removeprefix("out/flat/"), row["step"]): row for one in firsts(heard, "out/flat/")
            for row in [msgspec.json.decode(one.payload)]}  # fmt: skip
    assert {
        (row["stream"], row["step"]): {k: v for k, v in row.items() if k != "stream"} for row in rows_of(heard)
    } == flat
    for one in full:
        row = flat[one["stream"], one["step"]]
        assert (row["pressure"], row["pressure_forecast"]) == (one["observed"]["pressure"], one["forecast"]["pressure"])
        numbers = [two.payload for two in firsts(heard, f"out/number/{one['stream']}/pressure/1s")]
        assert msgspec.json.encode(one["forecast"]["pressure"]) in numbers
    assert lines_of(heard, "out/lines") == lines_of(heard, "out/influx/")
    stamps = {int(line["time"]) for text in lines_of(heard, "out/lines") for line in parse_influx(text.decode())}
    assert len(stamps) == ROUNDS + 2


def test_home_assistant_is_told_of_every_stream_and_again_when_it_comes(tmp_path: Path, broker: Mosquitto) -> None:
    """Retained; once after a kill; again on its birth; taken back with the stream; all of it in the replay."""
    config = tanks_config(broker.port).replace("[learning]", "[homeassistant]\ndiscovery = true\n[learning]", 1)
    with run_daemon(tmp_path / "d", config) as daemon, RawClient(broker, subscribe="homeassistant/device/#") as home:
        send_tanks(broker, STREAMS, streams=STREAMS)
        first = home.wait_heard(STREAMS)
        daemon.kill()
        daemon.start()
        send_tanks(broker, STREAMS, first=STREAMS, streams=STREAMS)
        daemon.wait_metric("gaugecast_readings_total", STREAMS, outcome="stepped")
        before = len(home.heard)  # with copies after the kill
        home.publish([("homeassistant/status", b"online")])
        wait_until(
            lambda: len({one.topic for one in home.heard[before:]}) == STREAMS,
            what=lambda: f"all announcements again, {len(home.heard) - before} heard",
        )
        again = {(one.topic, one.payload) for one in home.heard}
        assert again == {(one.topic, one.payload) for one in first}
        stream = tanks_plan(STREAMS).stream_name(0)
        gone = run_command("streams", "forget", stream, "--fleet", "tanks", "-c", str(daemon.config_path))
        assert gone.returncode == 0, gone.stdout + gone.stderr
        wait_until(lambda: any(one.payload == b"" for one in home.heard), what="taken back")
        with RawClient(broker, subscribe="homeassistant/device/#") as late:
            assert all(one.retain for one in late.wait_heard(STREAMS - 1))
        assert daemon.stop() == 0
        found = run_command("replay", "-c", str(daemon.config_path))
    assert found.returncode == 0, found.stdout + found.stderr
