"""The trained autoencoder, from a file to a live fleet: fitted, imported, promoted, heard, taken away, replayed."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import numpy as np
import pytest
from typer.testing import CliRunner

from gaugecast import events
from gaugecast.cli.main import app
from gaugecast.config import load_settings, resolve_fleets
from gaugecast.control import ModelsQuery
from gaugecast.errors import CommandRefused, ModelError
from gaugecast.fleet import Fleet
from gaugecast.learn.autoencoder.saved import load_detector
from gaugecast.model import Model
from gaugecast.records import Float64, Input, Order
from gaugecast.service.replaying import replay_ledger
from gaugecast.storage.models import ModelStore
from gaugecast.testing import T0, model_for, outputs_of, pipeline_of
from support.mosquitto import RawClient, run_mosquitto, wait_until
from test_service_daemon import running, say, settled
from train.series import waves, write_csv

pytestmark = pytest.mark.keras
OPTIONS = (
    "--window=6", "--encoder=6,4", "--decoder=6", "--hold=3", "--epochs=4", "--train-rows=200", "--learning-rate=0.01",
)  # fmt: skip
FAULT = slice(260, 280)
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
[learning]
mode = "off"
[fleet.tanks]
subscribe = ["plant/{{tank}}"]
period = "1s"
time = "$.t"
[fleet.tanks.anomaly]
settle = 0
[fleet.tanks.features.level]
unit = "m"
[fleet.tanks.features.heat]
"""


def run(*words: object) -> str:
    """What a command prints, run in this process; whatever it raises comes through."""
    return CliRunner().invoke(app, list(map(str, words)), catch_exceptions=False).output


def broken_waves() -> dict[str, Float64]:
    """Two waves, of which the first lies 20 higher for twenty rows."""
    columns = waves(300)
    columns["level"][FAULT] += 20.0
    return columns


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory that `gaugecast autoencoder` leaves."""
    directory = tmp_path_factory.mktemp("fitted")
    run("autoencoder", write_csv(directory / "one.csv", broken_waves()), "-o", directory / "out", *OPTIONS)
    return directory / "out"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration of which no daemon runs."""
    path = tmp_path / "gaugecast.toml"
    path.write_text(CONFIG.format(port=1883, state=tmp_path / "state", client="x"))
    return path


def imported(fitted: Path, config: Path) -> tuple[Fleet, Model]:
    """What `models import` has stored."""
    settings = load_settings(config, {})
    (fleet,) = resolve_fleets(settings)
    words = run("models", "import", fitted, "-c", config)
    version = words.split()[0]
    assert f"models promote {version}, " in words
    assert "bytes of state a stream" in words
    return fleet, ModelStore(settings.storage.directory).load("tanks", version)


@pytest.mark.parametrize("stride", [1, 3])
def test_live_scores_reach_one_where_the_command_alarms(fitted: Path, config: Path, stride: int) -> None:
    """Row by row over the file that it was fitted to; with a stride at the rows at which it looks, held in steps."""
    place = config.parent / "detector"
    place.mkdir()
    told = json.loads((fitted / "detector.json").read_text())
    told["settings"]["stride"] = stride
    (place / "detector.json").write_text(json.dumps(told))
    (place / "weights.npz").write_bytes((fitted / "weights.npz").read_bytes())
    fleet, model = imported(place, config)
    values = np.stack(list(broken_waves().values()), axis=1)
    detector, _ = load_detector(fitted)
    alarms = detector.alarms(detector.errors(values))
    assert alarms[FAULT].any()
    pipeline = pipeline_of(fleet, models=[])
    pipeline.load_model = lambda _fleet, _version: model
    pipeline.advance([Order(events.ModelInstalled("detector", model.manifest.version), "tanks").stamped(T0)])
    found = []
    for i, row in enumerate(values):
        at = T0 + i * 10**9
        made = outputs_of([pipeline.advance([Input.reading("tanks", "a", at, at, row.tobytes())])])
        watching = pipeline.parts["tanks"].anomalies
        assert watching is not None
        found.append(float(watching.score_of(0)[-1].max()) >= 1.0)
        assert made
    if stride == 1:
        assert found == alarms.tolist()
    assert any(found[FAULT])
    assert not any(found[: FAULT.start])


def test_what_the_fleet_does_not_have_is_refused_at_import(fitted: Path, config: Path, tmp_path: Path) -> None:
    """A feature, or a table for anomalies; and a directory with several detectors, of which one is meant."""
    whole = config.read_text()
    (tmp_path / "several" / "one").mkdir(parents=True)
    (tmp_path / "several" / "one" / "detector.json").write_text("{}")
    for text, source, why in (
        (whole.replace("features.heat", "features.hot"), fitted, "some of level, hot; got 'heat'"),
        (whole.replace("[fleet.tanks.anomaly]\nsettle = 0\n", ""), fitted, "does not look for anomalies"),
        (whole, tmp_path / "several", "found those of 1 files: name one of its folders"),
    ):
        config.write_text(text)
        with pytest.raises(ModelError, match=why):
            run("models", "import", source, "-c", config)


def test_it_is_promoted_heard_and_taken_away_in_a_running_daemon(fitted: Path, tmp_path: Path) -> None:
    """Events of the ledger, which reproduces every message of it."""
    values = broken_waves()
    series = {name: one[FAULT.start - 40 : FAULT.stop].tolist() for name, one in values.items()}
    count = len(series["level"])
    with (
        run_mosquitto(tmp_path / "broker") as broker,
        RawClient(broker, subscribe="#") as world,
        running(tmp_path, broker, CONFIG) as one,
    ):
        forecaster = model_for(resolve_fleets(one.daemon.settings)[0])
        ModelStore(one.state).add("tanks", forecaster)
        version = run("models", "import", fitted, "-c", one.path).split()[0]
        for words, why in (
            (("promote", forecaster.manifest.version), "an autoencoder expected, got a forecaster"),
            (("shadow", version, "--warm", 0), "a forecaster expected, got an autoencoder"),
            (("rollback", "--detector"), "an autoencoder in force expected, there is none"),
        ):
            with pytest.raises(CommandRefused, match=why):
                run("models", *words, "-c", one.path)
        assert "looks for anomalies of tanks" in run("models", "promote", version, "-c", one.path)
        wait_until(lambda: "detector" in one.ask(ModelsQuery())["fleets"]["tanks"]["roles"], what="a detector")
        rows = json.loads(run("models", "list", "--json", "-c", one.path))
        assert {row["version"]: row["role"] for row in rows}[version] == "detector"
        say(world, "plant/a", 0, count, **{name: values.__getitem__ for name, values in series.items()})
        settled(world, "tanks", count)
        wait_until(lambda: any(each.topic.endswith("/anomaly") for each in world.heard), what="an anomaly")
        run("models", "rollback", "--detector", "-c", one.path)
        wait_until(lambda: one.ask(ModelsQuery())["fleets"]["tanks"]["roles"] == {}, what="no detector")
        assert f"{version}" in run("models", "list", "-c", one.path)
    begin = next(each for each in world.heard if each.topic.endswith("/anomaly"))
    told = msgspec.json.decode(begin.payload)
    assert told["features"]["level"]["detector"] == "autoencoder"
    report = replay_ledger(one.state, one.daemon.settings.loop)
    assert (report.differing, report.outputs >= count) == (0, True)
