"""The daemon in this process, on a real broker: started, asked, configured anew, ended; what it left is replayed."""

from __future__ import annotations

import csv
import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from typer.testing import CliRunner

from gaugecast import events
from gaugecast.cli.main import app
from gaugecast.config import load_settings, resolve_fleets
from gaugecast.console.past import Past
from gaugecast.control import (
    SOCKET_NAME,
    Forget,
    HandOver,
    LearnerReport,
    ModelsQuery,
    Promote,
    Rename,
    Reset,
    RollBack,
    StatusQuery,
    StreamsQuery,
    call,
)
from gaugecast.errors import CommandRefused, ConfigError, StorageError, WrongUse
from gaugecast.history import FileColumns, read_inputs
from gaugecast.ledger import Ledger
from gaugecast.records import Commit, Order, Output, Verdict
from gaugecast.service.daemon import Daemon
from gaugecast.service.opening import open_ledger, open_reader
from gaugecast.service.replaying import replay_inputs, replay_ledger
from gaugecast.status import Status
from gaugecast.storage.models import ModelStore
from gaugecast.testing import random_model
from support.mosquitto import Heard, Mosquitto, RawClient, run_mosquitto, wait_until

if TYPE_CHECKING:
    from support.postgres import Postgres

CONFIG = """
[mqtt]
host = "127.0.0.1"
port = {port}
client_id = "{client}"
watch_drops = false
[storage]
directory = "{state}"
[http]
port = 0
[fleet.tanks]
subscribe = ["plant/{{tank}}"]
period = "1s"
time = "$.t"
[fleet.tanks.features.level]
unit = "m"
"""
MORE = """
[fleet.pumps]
subscribe = ["pump/{{pump}}"]
period = "1s"
time = "$.t"
[fleet.pumps.features.flow]
"""
T0 = 1_700_000_000


class Running:
    """A daemon whose main loop turns in a thread of ours."""

    def __init__(self, directory: Path, broker: Mosquitto, config: str = CONFIG) -> None:
        self.path, self.state, self._broker = directory / "gaugecast.toml", directory / "state", broker
        self.write(config)
        self.daemon = Daemon(load_settings(self.path, {}))
        self._thread = threading.Thread(target=self._run, name="daemon")
        self._thread.start()
        wait_until(lambda: self.daemon.status.ready, what="a daemon that forecasts")

    def write(self, config: str) -> None:
        """Replace the file."""
        self.path.write_text(config.format(port=self._broker.port, state=self.state, client=self.state.parent.name))

    def _run(self) -> None:
        with ExitStack() as held:
            self.daemon.startup(held)
            self.daemon.main_loop()
            self.daemon.shutdown()

    def ask(self, request: msgspec.Struct) -> dict[str, Any]:
        """Through the control socket."""
        return call(self.state / SOCKET_NAME, request)

    @property
    def status(self) -> Status:
        """As the control socket tells it."""
        return msgspec.convert(self.ask(StatusQuery()), Status)

    def stop(self) -> None:
        """As SIGTERM does."""
        self.daemon.ask_stop()
        self._thread.join(30)
        assert not self._thread.is_alive()


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    """One for all tests here; each uses topics of its own state."""
    with run_mosquitto(tmp_path_factory.mktemp("broker")) as made:
        yield made


@contextmanager
def running(directory: Path, broker: Mosquitto, config: str = CONFIG) -> Iterator[Running]:
    """A daemon, stopped at the end if the test has not done so."""
    made = Running(directory, broker, config)
    try:
        yield made
    finally:
        made.stop()


@pytest.fixture
def world(broker: Mosquitto) -> Iterator[RawClient]:
    """A consumer of all forecasts that speaks for the sensors, too."""
    made = RawClient(broker, subscribe="gaugecast/#")
    yield made
    made.close()


def say(one: RawClient, topic: str, first: int, count: int, **values: Callable[[int], float]) -> None:
    """`count` readings of one sensor, a second apart."""
    one.publish(
        [(topic, json.dumps({"t": T0 + i, **{k: f(i) for k, f in values.items()}}).encode())
         for i in range(first, first + count)]
    )  # fmt: skip


def forecasts(heard: list[Heard], fleet: str) -> list[dict[str, Any]]:
    """Messages of one fleet."""
    return [json.loads(one.payload) for one in heard if one.topic.startswith(f"gaugecast/{fleet}/")]


def settled(one: RawClient, fleet: str, count: int) -> list[dict[str, Any]]:
    """Forecasts of a fleet, once there are `count`."""
    wait_until(lambda: len(forecasts(one.heard, fleet)) >= count, what=f"{count} forecasts of {fleet}")
    return forecasts(one.heard, fleet)


def test_a_daemon_forecasts_answers_and_leaves_what_replays(
    tmp_path: Path, broker: Mosquitto, world: RawClient
) -> None:
    """From the first lock to the last checkpoint, and once more over what it has written."""
    with running(tmp_path, broker) as one:
        say(world, "plant/a", 0, 20, level=lambda i: 3.0 + i % 4)
        said = settled(world, "tanks", 20)
        counts = one.status.fleets["tanks"].counts
        wait_until(lambda: one.status.fleets["tanks"].counts.stepped == 20, what="twenty steps in the status")
        (row,) = one.ask(StreamsQuery(match="a*"))["rows"]
        assert (row["stream"], row["step"], row["observed"]) == ("a", 20, 6.0)
        one.ask(Reset(fleet="tanks", stream="a"))
        one.ask(LearnerReport(fleet="tanks", updates_total=7))
        wait_until(lambda: one.status.fleets["tanks"].learner is not None, what="what the learner has told")
        assert counts.rejected == 0
    made: list[Output] = []
    report = replay_ledger(one.state, one.daemon.settings.loop, each=made.append)
    assert (report.outputs, report.differing, report.elsewhere) == (20, 0, False)
    assert [json.loads(output.body) for output in made] == said
    assert replay_ledger(one.state, one.daemon.settings.loop, upto=5).inputs == 5
    with pytest.raises(StorageError, match="position"):
        replay_ledger(one.state, one.daemon.settings.loop, at=-1)


def test_streams_are_renamed_forgotten_and_exported(tmp_path: Path, broker: Mosquitto, world: RawClient) -> None:
    """By command while it runs; steps go on, (stream, lineage, step) is never given twice, and all of it replays."""
    with running(tmp_path, broker) as one:
        say(world, "plant/a", 0, 5, level=float)
        say(world, "plant/b", 0, 5, level=float)
        settled(world, "tanks", 10)
        one.ask(Rename(fleet="tanks", stream="a", to="east"))
        one.ask(Forget(fleet="tanks", stream="b"))
        for request, why in (
            (Rename(fleet="tanks", stream="gone", to="x"), "has no stream 'gone'"),
            (Rename(fleet="tanks", stream="east", to="east"), "has a stream 'east' already"),
            (Rename(fleet="tanks", stream="east", to="a+b"), "could not be published"),
            (Forget(fleet="tanks", stream="b"), "has no stream 'b'"),
        ):
            with pytest.raises(CommandRefused, match=re.escape(why)):
                one.ask(request)
        wait_until(lambda: one.ask(StreamsQuery())["total"] == 1, what="one stream")
        say(world, "plant/east", 5, 3, level=float)
        say(world, "plant/b", 5, 3, level=float)
        said = settled(world, "tanks", 16)
        assert show_stream(one) == ["east", "b"]
    steps = {name: [m["step"] for m in said if m["stream"] == name] for name in ("a", "b", "east")}
    assert steps == {"a": [1, 2, 3, 4, 5], "b": [1, 2, 3, 4, 5, 6, 7, 8], "east": [6, 7, 8]}
    assert len({m["lineage"] for m in said}) == 1
    assert replay_ledger(one.state, one.daemon.settings.loop).differing == 0
    check_export(one, said)


def show_stream(one: Running) -> list[str]:
    """The streams that are listed, after one of them was shown with its past."""
    shown = CliRunner().invoke(app, ["streams", "show", "east", "-c", str(one.path), "--json"])
    (past,) = json.loads(shown.stdout)["past"]
    assert (past["observed"], past["expected"][1:]) == ([5.0, 6.0, 7.0], [5.0, 6.0])
    listed = json.loads(CliRunner().invoke(app, ["streams", "list", "-c", str(one.path), "--json"]).stdout)
    refused = CliRunner().invoke(app, ["streams", "show", "none", "-c", str(one.path)])
    assert isinstance(refused.exception, WrongUse)
    picture = CliRunner().invoke(app, ["streams", "show", "east", "-c", str(one.path)], env={"COLUMNS": "80"})
    assert max(map(len, picture.stdout.splitlines())) <= 80
    return sorted((row["stream"] for row in listed), reverse=True)


def check_export(one: Running, said: list[dict[str, Any]]) -> None:
    """A row for each message, with what it said; a file of another kind is refused."""
    out = one.path.with_name("out.csv")
    assert CliRunner().invoke(app, ["export", "-c", str(one.path), "-o", str(out), "--match", "east"]).exit_code == 0
    rows = list(csv.DictReader(out.open()))
    messages = [m for m in said if m["stream"] == "east"]
    assert [(int(r["step"]), float(r["observed"]), r["lineage"]) for r in rows] == [
        (m["step"], m["observed"]["level"], m["lineage"]) for m in messages
    ]
    assert rows[0]["time"] == "2023-11-14T22:13:25.000000Z"
    late = CliRunner().invoke(app, ["export", "-c", str(one.path), "--from", rows[-1]["time"], "--match", "east"])
    assert len(late.stdout.splitlines()) == 2
    refused = CliRunner().invoke(app, ["export", "-c", str(one.path), "-o", "x.xlsx"])
    assert isinstance(refused.exception, WrongUse)


def test_weights_go_on_trial_are_promoted_and_taken_back_by_command(
    tmp_path: Path, broker: Mosquitto, world: RawClient
) -> None:
    """Each command is an event at its place, and `models` tells who has which role."""
    with running(tmp_path, broker) as one:
        (fleet,) = resolve_fleets(one.daemon.settings)
        model = random_model("tanks", [("level", "forecast")], fleet.rows, units=(4,), seed=1)
        version = ModelStore(one.state).add("tanks", model)
        with pytest.raises(CommandRefused, match="one of the fleets tanks expected"):
            one.ask(HandOver(fleet="ships", version=version))
        with pytest.raises(CommandRefused, match="a model in shadow expected"):
            one.ask(Promote(fleet="tanks"))
        one.ask(HandOver(fleet="tanks", version=version, reason="asked"))

        def roles() -> dict[str, Any]:
            found: dict[str, Any] = one.ask(ModelsQuery())["fleets"]["tanks"]["roles"]
            return found

        wait_until(lambda: "shadow" in roles(), what="a model in shadow")
        assert roles()["shadow"]["skill"] is None, "expected no skill of what was not scored, rather than 0"
        say(world, "plant/b", 0, 30, level=lambda i: 3.0 + i % 4)
        settled(world, "tanks", 30)
        one.ask(Promote(fleet="tanks"))
        wait_until(lambda: roles().keys() == {"in_force"}, what="a model in force")
        one.ask(RollBack(fleet="tanks"))
        wait_until(lambda: roles() == {}, what="persistence again")
    assert replay_ledger(one.state, one.daemon.settings.loop).differing == 0


def test_a_reload_brings_a_fleet_and_a_broken_file_changes_nothing(
    tmp_path: Path, broker: Mosquitto, world: RawClient
) -> None:
    """The status says why a file was refused, until one is taken; fleets come and go without a restart."""
    with running(tmp_path, broker) as one:
        one.write(CONFIG + "[fleet.pumps]\nperiod = 3\n")
        one.daemon.ask_reload()
        wait_until(lambda: one.status.reload_refused is not None, what="a refusal")
        assert "fleet.pumps" in (one.status.reload_refused or "")
        one.write(CONFIG + MORE)
        one.daemon.ask_reload()
        wait_until(lambda: "pumps" in one.status.fleets and one.status.reload_refused is None, what="a new fleet")
        wait_until(lambda: one.status.fleets["pumps"].streams is not None, what="a fleet at work")
        say(world, "pump/x", 0, 3, flow=lambda i: 1.0 + i)
        settled(world, "pumps", 3)
        one.write(CONFIG)
        one.daemon.ask_reload()
        wait_until(lambda: one.status.fleets["pumps"].streams is None, what="a fleet that has left")
        left = one.status.fleets["pumps"].counts
        assert (left.received, left.stepped, left.forecasts) == (3, 3, 3)


def test_a_file_of_readings_is_forecast_by_the_model_in_force(tmp_path: Path, broker: Mosquitto) -> None:
    """`replay --csv`: not by the one that was imported last; through a pipeline of its own."""
    with running(tmp_path, broker) as one:
        settings = one.daemon.settings
    (fleet,) = resolve_fleets(settings)
    file = tmp_path / "past.csv"
    file.write_text("time,level\n" + "".join(f"{T0 + i},{3 + i % 4}\n" for i in range(12)))
    store, versions = ModelStore(one.state), []
    for seed in (1, 2, 3):
        model = random_model("tanks", [("level", "forecast")], fleet.rows, units=(4,), seed=seed)
        versions.append(store.add("tanks", model))
    found: list[str] = []
    for event in (None, events.ModelInstalled("in_force", versions[0]), events.ShadowPromoted(versions[1])):
        if event is not None:
            ledger = Ledger.open(one.state, settings.storage)
            ledger.commit(Commit([Order(event, "tanks").stamped(T0 * 10**9)], [Verdict.NONE], []))
            ledger.close()
        made: list[Output] = []
        part = replay_inputs(settings, fleet, read_inputs(file, fleet, FileColumns("time")), each=made.append)
        assert len(made) == 12
        found.append("" if part.in_force is None else part.in_force.version)
    assert found == ["", versions[0], versions[1]]


def test_a_ledger_in_postgresql_is_written_by_the_daemon_and_read_by_all_that_read_one(
    tmp_path: Path, broker: Mosquitto, world: RawClient, postgres: Postgres
) -> None:
    """`[storage] postgres`, and nothing else is different; another machine reads it by its configuration alone."""
    place = postgres.new_place()
    keys = f'postgres = "{place.url}"\npostgres_schema = "{place.schema}"\n[http]'
    with running(tmp_path, broker, CONFIG.replace("[http]", keys)) as one:
        say(world, "plant/q", 0, 20, level=lambda i: 3.0 + i % 4)
        said = settled(world, "tanks", 20)
        wait_until(lambda: one.status.fleets["tanks"].counts.stepped == 20, what="twenty steps in the status")
        assert one.status.storage.ledger_bytes
        past = Past(one.state, open_reader)
        readings, made, more = past.history("tanks", "q", from_ns=None, to_ns=None, most=100)
        assert (len(readings.at_ns), len(made.seqs), more) == (20, 20, False)
    assert not (one.state / "ledger.sqlite").exists()
    elsewhere = tmp_path / "elsewhere.toml"
    elsewhere.write_text(one.path.read_text().replace(str(one.state), str(tmp_path / "other")))
    for config in (one.path, elsewhere):
        told = CliRunner().invoke(app, ["replay", "-c", str(config), "--out", str(tmp_path / "bodies")])
        assert (told.exit_code, "20 messages reproduced byte for byte" in told.output) == (0, True), told.output
        bodies = [json.loads(line) for line in (tmp_path / "bodies").read_text().splitlines()]
        assert [(b["step"], b["forecast"]) for b in bodies] == [(s["step"], s["forecast"]) for s in said]
        rows = CliRunner().invoke(app, ["export", "-c", str(config), "-o", str(tmp_path / "rows.csv")])
        assert (rows.exit_code, len((tmp_path / "rows.csv").read_text().splitlines())) == (0, 21)
        assert CliRunner().invoke(app, ["quarantine", "-c", str(config)]).exit_code == 0
    refused = CliRunner().invoke(app, ["backup", "-c", str(one.path), str(tmp_path / "backup")])
    assert "pg_dump" in str(refused.exception)
    one.write(CONFIG)
    with pytest.raises(ConfigError, match=f"its ledger is in PostgreSQL, schema {place.schema}"):
        open_ledger(load_settings(one.path, {}).storage)
