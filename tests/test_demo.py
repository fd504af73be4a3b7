"""What the demo is made of: its model, its tanks and their faults, its screen, the addresses that it takes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from gaugecast.cli.demo_screen import plain_line, render_screen, render_summary
from gaugecast.cli.watch_screen import Trails
from gaugecast.config import load_settings, resolve_fleets
from gaugecast.config.template import render_template
from gaugecast.control import StreamRow, StreamsAnswer
from gaugecast.demo import pretrain
from gaugecast.demo.stage import split_address
from gaugecast.demo.tanks import (
    FAULT_EVERY_S,
    FIRST_FAULT_S,
    PERIOD_S,
    PLAIN_WORDS,
    TANKS,
    TIME_SCALE,
    TROUBLES,
    demo_fleet,
    fault_schedule,
)
from gaugecast.errors import ConfigError
from gaugecast.loop.models import shipped_model
from gaugecast.model import Model
from gaugecast.records import Float64
from gaugecast.status import BrokerStatus, FleetCounts, FleetStatus, PublishingStatus, Rates, Status, StreamCounts
from gaugecast_sim.faults import Injected, Kind
from gaugecast_sim.tanks import Plant, tank_names

UNSEEN_SEED = 31


def the_shipped_model() -> Model:
    """What the daemon would install for the demo's fleet."""
    model = shipped_model(demo_fleet())
    assert model is not None
    return model


# -- the model


def test_the_shipped_model_has_skill_on_tanks_it_has_never_seen() -> None:
    """Twenty seconds of an unseen seed, cold start included: both features are well ahead of persistence."""
    reached = pretrain.judge(the_shipped_model(), seed=UNSEEN_SEED, tanks=TANKS, steps=round(20 / PERIOD_S))

    assert set(reached) == {"pressure", "temperature"}
    assert all(value > 0.2 for value in reached.values()), reached


def test_a_model_without_weights_worth_the_name_would_fail_that_test() -> None:
    """The same judge finds next to no skill in weights that were never trained: it is the training that is seen."""
    model = the_shipped_model()
    blank = Model(model.manifest, {name: np.zeros_like(weight) for name, weight in model.weights.items()})

    reached = pretrain.judge(blank, seed=UNSEEN_SEED, tanks=TANKS, steps=40)

    assert all(abs(value) < 0.01 for value in reached.values()), reached


def test_the_shipped_model_is_for_the_demo_fleet_alone(tmp_path: Path) -> None:
    """Neither a fleet of another name, nor one of that name with another period, nor what `init` writes gets it."""
    fleet = demo_fleet()
    file = tmp_path / "gaugecast.toml"
    file.write_text(render_template())
    written = resolve_fleets(load_settings(file, {}))

    assert shipped_model(fleet) is not None
    assert shipped_model(replace(fleet, name="tanks")) is None
    assert shipped_model(replace(fleet, period_ns=10**9)) is None
    assert [shipped_model(other) for other in written] == [None] * len(written)


def test_the_shipped_model_says_where_it_comes_from() -> None:
    """Provenance names the script, the seed of its readings and the skill that it reached."""
    provenance = the_shipped_model().manifest.provenance

    assert provenance["made_by"] == "python -m gaugecast.demo.pretrain"
    assert str(pretrain.TRAIN_SEED) in str(provenance["source"])
    assert float(provenance["skill_pressure"]) > 0.5
    assert float(provenance["skill_temperature"]) > 0.5


def test_training_targets_are_the_next_moves_in_scales() -> None:
    """Step by step the target is what the tank did next, over the scale that the step knew; without scale, none."""
    model = the_shipped_model()
    _, recorder = pretrain.run_tanks(model, seed=3, tanks=2, steps=12)
    tanks = pretrain.lessons_of(recorder, model.manifest)
    truth = tank_values(seed=3, tanks=2, steps=12)

    for tank, (one, traces) in enumerate(
        zip(tanks, (recorder.traces[s] for s in sorted(recorder.traces)), strict=True)
    ):
        assert one.x.shape == (11, 2, model.manifest.input_size)
        assert np.isnan(one.target[0]).all()
        for step in range(2, 11):
            moved = (truth[step + 1, tank] - truth[step, tank]) / traces[step].scale[0]
            np.testing.assert_allclose(one.target[step].ravel(), np.clip(moved, -8, 8), rtol=1e-5)


def tank_values(*, seed: int, tanks: int, steps: int) -> Float64:
    """What the sensors say, as sent, (steps, tanks, features)."""
    plant = Plant(seed, tanks, PERIOD_S, time_scale=TIME_SCALE)
    rows = []
    for step in range(steps):
        seen = plant.step(pretrain.BEGIN_NS + round(step * PERIOD_S * 1e9))
        rows.append(np.stack([seen.pressure.round(3), seen.temperature.round(2)], axis=1))
    return np.stack(rows)


# -- the faults


def test_faults_come_soon_on_known_tanks_and_in_words_for_people() -> None:
    """The first after some seconds, then about one in eight; each kind has its words, each topic its tank."""
    faults = fault_schedule(1, tanks=4, start_ns=0, until_s=600)
    begun = [fault.start_ns / 1e9 for fault in faults]

    assert begun[0] == FIRST_FAULT_S
    assert np.diff(begun).mean() == pytest.approx(FAULT_EVERY_S, rel=0.15)
    assert {fault.kind for fault in faults} == {kind for kind, *_ in TROUBLES} == set(PLAIN_WORDS)
    assert {fault.topic for fault in faults} == {f"*/{name}/*" for name in tank_names(4)}


# -- the screen


def an_answer() -> StreamsAnswer:
    """Six tanks as the daemon would tell of them."""
    features = (("pressure", "bar", 2.5), ("temperature", "°C", 61.0))
    rows = [
        StreamRow(
            fleet="demo-tanks",
            stream=name,
            feature=feature,
            unit=unit,
            step=9,
            observed=value,
            forecast=value + 0.01,
            predicted=value - 0.02,
            skill=0.5,
        )
        for name in tank_names(TANKS)
        for feature, unit, value in features
    ]
    status = Status(
        version="0.1.0",
        recovered=1.0,
        broker=BrokerStatus(address="127.0.0.1:1883", connected=True),
        publishing=PublishingStatus(address="127.0.0.1:1883", connected=True, latency_s=0.004),
        rates=Rates(readings_per_s=12.0),
        fleets={
            "demo-tanks": FleetStatus(
                counts=FleetCounts(received=120, forecasts=117), streams=StreamCounts(active=TANKS)
            )
        },
        metrics_url="http://127.0.0.1:9464/metrics",
    )
    return StreamsAnswer(rows=rows, total=TANKS, status=status)


PLACE = "http://127.0.0.1:65535/"


@pytest.mark.parametrize(("width", "height"), [(80, 24), (132, 40)])
def test_the_screen_fits_its_terminal_with_all_tanks_on_it(width: int, height: int, tmp_path: Path) -> None:
    """At 80 × 24 and wider no line is cut or wrapped, every tank is there, the console, and the last trouble."""
    trouble = Injected(Kind.GAP, "plant/demo/tank-03/telemetry", 10**9, b"")
    with (tmp_path / "screen").open("w") as sink:
        console = Console(width=width, height=height, record=True, file=sink)
        console.print(
            render_screen(an_answer(), Trails(), [trouble], now_ns=3 * 10**9, width=width, height=height, place=PLACE),
            end="",
        )
    lines = console.export_text().rstrip("\n").split("\n")

    assert len(lines) <= height
    assert any(PLACE in line for line in lines)
    assert max(map(len, lines)) <= width
    assert all(any(name in line for line in lines) for name in tank_names(TANKS))
    assert any("tank-03 falls silent (2 s ago)" in line for line in lines)
    assert any("http://127.0.0.1:9464/metrics" in line for line in lines)


def test_lines_and_summary_count_forecasts_plainly(tmp_path: Path) -> None:
    """Without a terminal the counts come as digits alone, so that a script can read them."""
    with (tmp_path / "lines").open("w") as sink:
        console = Console(width=100, record=True, file=sink)
        console.print(render_summary(an_answer().status, [], 30.0))

    assert "120 readings" in plain_line(an_answer(), 5.0)
    assert "117 forecasts" in plain_line(an_answer(), 5.0)
    assert "117 forecasts of 120 readings" in console.export_text()


# -- the whole of it


@pytest.mark.parametrize(
    ("text", "address"),
    [("hall:1884", ("hall", 1884)), ("hall", ("hall", 1883)), ("[::1]:1884", ("::1", 1884)), ("[::1]", ("::1", 1883))],
)
def test_an_address_may_leave_its_port_out(text: str, address: tuple[str, int]) -> None:
    """Names and IPv6 addresses, with and without port."""
    assert split_address(text) == address


@pytest.mark.parametrize("text", [":1883", "hall:", "hall:0", "hall:99999", "hall:mqtt"])
def test_an_address_that_cannot_be_one_is_refused(text: str) -> None:
    """The message shows what came."""
    with pytest.raises(ConfigError, match="--broker"):
        split_address(text)
