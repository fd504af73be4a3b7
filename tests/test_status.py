"""`gaugecast status`: how the daemon's word reaches the screen."""

from __future__ import annotations

import contextlib
import io
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import typer
from rich.console import Console, RenderableType
from typer.testing import CliRunner

from gaugecast.cli.figures import show_age, show_bytes, show_passed_over, show_rate, show_skill, show_value, sparkline
from gaugecast.cli.status import ask_status, render_status
from gaugecast.cli.status import status as status_command
from gaugecast.config.schema import Http
from gaugecast.control import SOCKET_NAME, Control
from gaugecast.errors import Unreachable
from gaugecast.status import (
    BrokerStatus,
    FeatureStatus,
    FleetCounts,
    FleetStatus,
    LearnerStatus,
    LearningStatus,
    PublishingStatus,
    Rates,
    Shadow,
    Status,
    StorageStatus,
    StreamCounts,
)
from gaugecast.web import Health, Web, readiness_of

STATUS = Status(
    version="0.1.0",
    pid=42,
    uptime_s=11523,
    recovered=1.0,
    broker=BrokerStatus(address="plant:1883", connected=True, reconnects_total=1),
    publishing=PublishingStatus(address="plant:1883", connected=True, latency_s=0.0041, unconfirmed=17),
    storage=StorageStatus(checkpoint_age_s=125, ledger_bytes=14_200_000),
    rates=Rates(readings_per_s=240.3, forecasts_per_s=240),
    metrics_url="http://127.0.0.1:9464/metrics",
    fleets={
        "tanks": FleetStatus(
            counts=FleetCounts(received=12480, forecasts=12470, rejects={"not_json": 3}),
            streams=StreamCounts(active=12, stale=1, parked=3),
            model="tanks-0003",
            features={
                "pressure": FeatureStatus(unit="bar", absolute_error=0.0081, skill=0.62),
                "temperature": FeatureStatus(unit="°C", absolute_error=0.12, skill=-0.2),
            },
        ),
        "pumps": FleetStatus(streams=StreamCounts(active=1), features={"flow": FeatureStatus()}),
    },
)
#: Of readings that came in vain.
LATE = FleetCounts(late=12, late_ns=540 * 10**9, duplicate=3)


def with_fleets(**fleets: FleetStatus) -> Status:
    """The same daemon with other fleets."""
    return msgspec.structs.replace(STATUS, fleets=fleets)


def screen(picture: RenderableType, width: int = 80) -> str:
    """What a terminal of that width shows, without colours."""
    stream = io.StringIO()
    Console(file=stream, width=width, color_system=None).print(picture)
    return stream.getvalue()


@contextlib.contextmanager
def daemon(directory: Path, answer: Status) -> Iterator[None]:
    """A control socket that a thread polls, as the loop would."""
    ended = threading.Event()
    control = Control(directory / SOCKET_NAME)

    def turn() -> None:
        while not ended.wait(0.01):
            for command in control.poll():
                command.answer(answer)

    thread = threading.Thread(target=turn)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        control.close()


def test_the_learner_has_a_line_of_its_own_with_drifts_and_failures_where_there_were_any() -> None:
    """How much, how fast, how far behind."""
    quiet = LearnerStatus(updates_total=1200, handovers_total=1, rate=1e-3, lag_s=0.2)
    loud = LearnerStatus(rate=1.5e-3, drift_total=2, failures_total=3, lag_s=75.0)
    told = with_fleets(tanks=FleetStatus(learner=quiet), pumps=FleetStatus(learner=loud, rollbacks_total=1))
    text = screen(render_status(told), width=120)
    assert "tanks: 1,200 updates · 1 hand-over · rate 0.001\n" in re.sub(" +\n", "\n", text)
    wanted = "pumps: 0 updates · 0 hand-overs · rate 0.0015 · 2 drifts · 1 roll-back · 1 min 15 s behind · 3 failures"
    assert wanted in text
    assert "learner" not in screen(render_status(STATUS))


def test_a_model_on_trial_says_how_far_it_is() -> None:
    """How good it is, steps of those after which it is put in force, and when that will be."""
    trial = Shadow(version="tanks-0004", steps=120, promote_after=500, skill=0.12, eta_s=380)
    text = " ".join(screen(render_status(with_fleets(tanks=FleetStatus(shadow=trial)))).split())
    assert "tanks: shadow, 12 % better than the last value: 120 of 500 steps, about 6 min" in text


def test_whether_anything_is_learned_is_said_and_what_skill_means() -> None:
    """One meaning of skill on a screen, with its window; and why nothing will ever have any."""
    text = screen(
        render_status(msgspec.structs.replace(STATUS, learning=LearningStatus(mode="off", why="[learning] mode")))
    )
    assert re.search(r"learning\s+off \(\[learning\] mode\)", text)
    wanted = "skill as published: 0 % = no better than the last value; half-life 500 steps"
    assert wanted in " ".join(text.split())


def test_readings_that_came_late_or_twice_have_a_line_with_how_late() -> None:
    """Of each fleet, one that has left included, and only where there were any."""
    assert "passed over" not in screen(render_status(STATUS))
    text = screen(
        render_status(with_fleets(tanks=FleetStatus(counts=LATE), pumps=FleetStatus(counts=FleetCounts(duplicate=1))))
    )
    assert re.search(r"passed over\s+tanks: 12 late \(45 s on average\), 3 twice\s", text)
    assert re.search(r"passed over\s+pumps: 1 twice\s", text)


def test_a_feature_that_never_came_is_named() -> None:
    """With what to look at, and that it keeps nobody up."""
    fleet = msgspec.structs.replace(STATUS.fleets["tanks"], never_came=["pressure"])
    said = screen(render_status(msgspec.structs.replace(STATUS, fleets={"tanks": fleet})))
    assert "tanks: pressure never came: is its `path` right? The others go on" in said


def test_the_screen_answers_what_an_operator_asks() -> None:
    """Forecasting? since when? which broker? how fast? how well? how fresh? all on 80 columns."""
    text = screen(render_status(STATUS))
    for word in (
        "● forecasting",
        "up 3 h 12 min",
        "plant:1883 · connected · 1 reconnect",
        "12,480 · 240/s · 3 refused",
        "4.1 ms after the reading · 17 unconfirmed",
        "checkpoint 2 min 5 s ago · ledger 14.2 MB",
        "12 · 1 stale · 3 parked",
        "tanks-0003",
        "62 %",
        "−20 %",
        "0.0081 bar",
        "none in force",
        "http://127.0.0.1:9464/metrics",
    ):
        assert word in text, text
    assert max(len(line) for line in text.splitlines()) <= 80
    assert "…" not in text


def test_a_daemon_that_does_not_forecast_says_why() -> None:
    """What it does instead stands first, what is not known is a dash, degradation is named."""
    text = screen(render_status(Status(recovered=0.43)))
    assert text.startswith("○ recovering: 43 %")
    assert "not connected" in text
    assert "–/s" in text
    held = StorageStatus(holding="no room on the disk: a batch waits", fault="checkpoints: Too many open files")
    text = screen(render_status(msgspec.structs.replace(STATUS, storage=held, degraded=["storage_full"])))
    assert text.startswith("○ holding: no room on the disk: a batch waits")
    assert re.search(r"degraded\s+storage_full", text)
    assert re.search(r"not known\s+checkpoints: Too many open files", text)
    assert re.search(r"^  gaugecast 0.1.0 · pid 42 · up 3 h 12 min$", text, re.MULTILINE), "expected it unbroken"


def test_forecasts_that_the_broker_refuses_are_counted_on_the_screen() -> None:
    """They are kept and offered again: somebody must mend the broker's rules."""
    kept = msgspec.structs.replace(STATUS.publishing, refused_rows=1392)
    text = screen(render_status(msgspec.structs.replace(STATUS, publishing=kept, degraded=["refused"])))
    assert re.search(r"refused\s+1,392 forecasts by the broker; offered again later", text)


@pytest.mark.parametrize(
    ("status", "code"), [(STATUS, 0), (msgspec.structs.replace(STATUS, storage=StorageStatus(holding="no room")), 1)]
)
def test_the_exit_code_says_whether_it_forecasts(tmp_path: Path, status: Status, code: int) -> None:
    """1 for a daemon that holds, as for one without a broker; as JSON the tree is what the daemon has."""
    config = tmp_path / "gaugecast.toml"
    config.write_text(
        f'[storage]\ndirectory = "{tmp_path}"\n'
        '[fleet.tanks]\nsubscribe = ["plant/{tank}"]\nperiod = "1s"\n[fleet.tanks.features.level]\n'
    )
    app = typer.Typer()
    app.command()(status_command)
    with daemon(tmp_path, status):
        result = CliRunner().invoke(app, ["-c", str(config), "--json"])
    assert result.exit_code == code
    assert msgspec.json.decode(result.output, type=Status) == status


def test_a_model_that_is_left_unlearned_is_named_with_the_reason() -> None:
    """And only where there is one: everybody else's screen has no such line."""
    assert "not learned" not in screen(render_status(STATUS))
    shown = screen(
        render_status(with_fleets(tanks=FleetStatus(learner=LearnerStatus(spared="a look-back of 10 steps"))))
    )
    assert re.search(r"tanks: not learned: a look-back of 10 steps", shown)


def test_the_control_socket_is_asked_first(tmp_path: Path) -> None:
    """The whole answer comes back as it was given."""
    with daemon(tmp_path, STATUS):
        assert ask_status(tmp_path / SOCKET_NAME, Http(port=0)) == STATUS


@pytest.mark.parametrize("broker", [STATUS.broker, BrokerStatus(address="plant:1883", error="connection refused")])
def test_without_the_socket_readyz_is_asked(tmp_path: Path, broker: BrokerStatus) -> None:
    """Another user's daemon tells the same over HTTP, also with 503."""
    told = msgspec.structs.replace(STATUS, broker=broker)
    health = readiness_of(told)
    web = Web("127.0.0.1", 0, metrics=lambda: b"", health=lambda: health, readiness=lambda: health)
    web.start()
    with contextlib.closing(web):
        assert ask_status(tmp_path / SOCKET_NAME, Http(port=web.port)) == told


@pytest.mark.parametrize("facts", [{}, {"doing": "forecasting"}, {"doing": {}, "pid": "many"}])
def test_a_stranger_on_the_port_is_not_taken_for_the_daemon(tmp_path: Path, facts: dict[str, object]) -> None:
    """Something that answers otherwise leaves the daemon unreachable, with both places named."""
    health = Health(True, "", facts)
    web = Web("127.0.0.1", 0, metrics=lambda: b"", health=lambda: health, readiness=lambda: health)
    web.start()
    with contextlib.closing(web), pytest.raises(Unreachable, match=r"control\.sock.*nor does http://127\.0\.0\.1"):
        ask_status(tmp_path / SOCKET_NAME, Http(port=web.port))


def test_nobody_anywhere_is_unreachable(tmp_path: Path) -> None:
    """No socket and no HTTP: one error that says so, and names no address that was not asked."""
    with pytest.raises(Unreachable, match=r"expected a running gaugecast(?!.*readyz)"):
        ask_status(tmp_path / SOCKET_NAME, Http(port=0))


@pytest.mark.parametrize(
    ("value", "scale", "text"),
    [
        (1.4823, 1.4823, "1.482"),
        (-0.0081, 0.148, "−0.0081"),
        (21.4, 21.4, "21.40"),
        (123456.7, 123456.7, "123457"),
        (0.0, 0.0, "0.000"),
        (1.5e-7, 1.5e-7, "1.50e-07"),
        (None, 3.0, "–"),
        (float("nan"), 3.0, "–"),
    ],
)
def test_decimals_suit_the_size(value: float | None, scale: float, text: str) -> None:
    """Four digits that mean something, whatever the sensor's unit."""
    assert show_value(value, scale) == text


def test_figures_for_people() -> None:
    """Ages, sizes, rates and skill read as one would say them."""
    assert [show_age(s) for s in (0.4, 59, 60, 185, 15000, 183600)] == [
        "0 s",
        "59 s",
        "1 min",
        "3 min 5 s",
        "4 h 10 min",
        "2 d 3 h",
    ]
    assert [show_bytes(n) for n in (512, 14_200_000, 3 * 10**15)] == ["512 B", "14.2 MB", "3000.0 TB"]
    assert [show_rate(r) for r in (None, 0.2, 240.3, 12000)] == ["–", "0.2", "240", "12,000"]
    assert show_passed_over(FleetCounts(late=2, late_ns=10**9)) == "2 late (0.5 s on average)"
    assert show_passed_over(FleetCounts(late=1)) == "1 late"  # by sequence numbers: nobody knows how late
    assert [str(show_skill(s)) for s in (0.624, -0.004, 0.0, -0.2, -50.0)] == ["62 %", "0 %", "0 %", "−20 %", "−999 %"]
    assert [str(show_skill(s).style) for s in (0.5, 0.1, -0.5, None)] == ["green", "yellow", "red", "dim"]


def test_a_sparkline_spans_its_range() -> None:
    """Lowest and highest block at the ends, a blank where nothing is known, the middle where nothing moves."""
    assert sparkline([0, None, 0.5, 1], 0, 1) == "▁ ▅█"
    assert sparkline([3, 3], 3, 3) == "▄▄"
