"""A fleet changes while its readings come and a model is warmed for it; fleets leave by reload and by restart."""

from __future__ import annotations

import re
import signal
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import CompletedProcess

import msgspec
import pytest

from e2e.scenes import Listener, seed_model
from gaugecast.cli.models import shadow_model
from gaugecast.config import load_settings, resolve_fleets
from gaugecast.control import SOCKET_NAME, StatusQuery, call
from gaugecast.events import FleetConfigured, ShadowWarmed
from gaugecast.ledger.reader import LedgerReader
from gaugecast.status import FleetCounts, FleetStatus, Status
from gaugecast.storage.models import ModelStore
from gaugecast.testing import random_model
from support.daemon import OUTCOMES, DaemonProcess, run_command
from support.mosquitto import Mosquitto, RawClient, wait_until

TANKS = 300
START_S = 1_767_225_600

FLEET = """
[fleet.{name}]
subscribe = ["{name}/{{id}}"]
time = "$.t"
period = "1s"
stale_after = "1d"
"""
#: Where each feature's values lie: one under another's name would be seen.
RANGES = {"pressure": (0, 1), "level": (10, 11), "flow": (1000, 1001)}


def fleet(name: str, *features: str) -> str:
    """A fleet whose readings carry all of `RANGES`, and which reads some."""
    return FLEET.format(name=name) + "".join(f"[fleet.{name}.features.{feature}]\n" for feature in features)


def config(port: int, *fleets: str) -> str:
    """A configuration with these fleets."""
    return f'[mqtt]\nport = {port}\n[learning]\nmode = "off"\n[loop]\nnew_streams_per_s = 10000\n' + "".join(fleets)


def body(second: int) -> bytes:
    """A reading with all features."""
    values = {name: low + second % 7 / 10 for name, (low, _) in RANGES.items()}
    return msgspec.json.encode({"t": START_S + second, **values})


def warmed(ledger: LedgerReader) -> int:
    """Chunks of memory that the loop has taken."""
    return sum(isinstance(event, ShadowWarmed) for _, _, event in ledger.events())


def configured(daemon: DaemonProcess) -> int:
    """How often the loop has taken a fleet's configuration."""
    with daemon.ledger() as ledger:
        return sum(isinstance(event, FleetConfigured) for _, _, event in ledger.events())


def store_newcomer(daemon: DaemonProcess) -> str:
    """Another model for the only fleet, with so much state that its memories take many batches; its version."""
    (tanks,) = resolve_fleets(load_settings(daemon.config_path, {}))
    features = [(f.name, f.role) for f in tanks.features]
    model = random_model(tanks.name, features, tanks.rows, units=(400,), seed=9, gain=0.01)
    return ModelStore(daemon.state).add(tanks.name, model)


@pytest.mark.parametrize(
    "after",
    [
        (fleet("tanks", "pressure", "level"), fleet("pumps", "pressure", "flow")),
        pytest.param((fleet("tanks", "pressure", "level", "flow"),), marks=pytest.mark.long),
        pytest.param((fleet("tanks", "pressure", "flow"),), marks=pytest.mark.long),
    ],
    ids=["a fleet more", "a feature more", "level becomes flow"],
)
def test_a_reload_amid_a_warm_hand_over_publishes_nothing_under_a_wrong_name(
    tmp_path: Path, broker: Mosquitto, after: tuple[str, ...]
) -> None:
    """SIGHUP while memories of a model for the old shape stand in line and readings come: all go on, named rightly."""
    daemon = DaemonProcess(tmp_path / "d", config(broker.port, fleet("tanks", "pressure", "level")))
    seed_model(daemon)
    version = store_newcomer(daemon)
    with Listener(broker, tmp_path) as listener, RawClient(broker) as sensor:
        try:
            daemon.start()
            for second in range(2):
                sensor.publish([(f"tanks/t{tank}", body(second)) for tank in range(TANKS)])
            listener.wait_distinct(2 * TANKS)
            shadow_model(version, daemon.config_path)  # here: a process of its own takes too long to end
            daemon.write_config(config(broker.port, *after))
            sensor.publish([(f"tanks/t{tank}", body(2)) for tank in range(20)], wait=False)
            with daemon.ledger() as ledger:
                before = warmed(ledger)
            daemon.send(signal.SIGHUP)
            sensor.publish([(f"tanks/t{tank}", body(2)) for tank in range(20, TANKS)])
            wait_until(lambda: configured(daemon) == 2, what="the reload in force")
            expected = 4 * TANKS
            if len(after) > 1:
                broker.wait_for("SUBACK to gaugecast", times=2)
                sensor.publish([(f"pumps/p{pump}", body(3)) for pump in range(20)])
                expected += 20
            sensor.publish([(f"tanks/t{tank}", body(3)) for tank in range(TANKS)])
            lines = listener.wait_distinct(expected)
            with daemon.ledger() as ledger:
                assert before < warmed(ledger), "expected memories to be in line when SIGHUP came"
            assert daemon.metrics().unaccounted == 0
            assert daemon.stop() == 0
        finally:
            if daemon.running:
                daemon.kill()
    for topic, text in lines:
        message = msgspec.json.decode(text)
        assert topic == f"gaugecast/{message['fleet']}/{message['stream']}"
        check_names(message)
    last = {m["stream"]: m for m in (msgspec.json.decode(text) for _, text in lines) if m["fleet"] == "tanks"}
    features = {f for f in RANGES if f"[fleet.tanks.features.{f}]" in "".join(after)}
    assert all(set(m["observed"]) == features for m in last.values())
    found = run_command("replay", "-c", str(daemon.config_path))
    assert found.returncode == 0, found.stdout + found.stderr


def check_names(message: dict[str, dict[str, float | None]]) -> None:
    """Each value lies where that feature's values lie."""
    for part in ("observed", "forecast"):
        for name, value in message[part].items():
            low, high = RANGES[name]
            assert value is None or low - 5 < value < high + 5, f"expected {name} near {low}, got {message}"


APART = """
[fleet.tanks]
subscribe = ["tanks/{tank}/{feature}"]
payload = "number"
untimed = "step"
period = "1s"
grace = "60s"
stale_after = "1d"
[fleet.tanks.features.pressure]
[fleet.tanks.features.level]
"""


@dataclass
class Books:
    """Looks at a daemon's counts, and remembers them: none may be negative, or less than a moment ago.

    Attributes:
        daemon: May be restarted in between, after `begin_anew`.
    """

    daemon: DaemonProcess
    before: dict[str, FleetCounts] = field(default_factory=dict)

    def begin_anew(self) -> None:
        """Another process counts from zero."""
        self.before = {}

    def look(self) -> dict[str, FleetCounts]:
        """The counts now, as `gaugecast status --json` has them."""
        answer = msgspec.convert(call(self.daemon.state / SOCKET_NAME, StatusQuery(), 5.0), Status)
        now = {name: one.counts for name, one in answer.fleets.items()}
        for name, counts in now.items():
            before = self.before.get(name, FleetCounts())
            for one in (f for f in FleetCounts.__struct_fields__ if f not in ("held", "rejects")):
                assert getattr(counts, one) >= getattr(before, one) >= 0, f"{name}: {one} of {counts}, before {before}"
            assert all(counts.rejects[reason] >= before.rejects.get(reason, 0) for reason in before.rejects)
        assert self.before.keys() <= now.keys(), "expected no fleet's counts to vanish"
        self.before = now
        return now

    def wait(self, fleet: str, **expected: int) -> None:
        """Wait until a fleet's counts are these; then each fleet's, in /metrics, must add up."""

        def found() -> bool:
            counts = self.look().get(fleet, FleetCounts())
            return all(getattr(counts, name) == value for name, value in expected.items())

        wait_until(found, what=lambda: f"{expected} of {fleet}; {self.before}")
        scrape = self.daemon.metrics()
        for name in self.before:
            received, at_start, held = (
                scrape.total(f"gaugecast_readings_{one}", fleet=name)
                for one in ("received_total", "held_at_start", "held")
            )
            settled = sum(scrape.total("gaugecast_readings_total", fleet=name, outcome=one) for one in OUTCOMES)
            assert received + at_start == settled + held, f"{name}: {received} + {at_start} ≠ {settled} + {held}"

    def reload(self, text: str, *, broker: Mosquitto) -> None:
        """Put another configuration in force in the running daemon; it subscribes to more, or to less."""
        count = broker.count("SUBACK to gaugecast")
        self.daemon.write_config(text)
        self.daemon.send(signal.SIGHUP)
        broker.wait_for("SUBACK to gaugecast", times=count + 1)


def test_a_fleet_that_leaves_by_reload_or_restart_keeps_its_counts_and_they_add_up(
    tmp_path: Path, broker: Mosquitto
) -> None:
    """Readings that waited in an open tick are settled by the retirement, of this process and of the one before."""
    both = config(broker.port, APART, fleet("pumps", "flow"))
    alone = config(broker.port, fleet("pumps", "flow"))
    daemon = DaemonProcess(tmp_path / "d", both)
    books = Books(daemon)
    with RawClient(broker) as sensor:
        try:
            daemon.start()
            pairs = [(f"tanks/t{tank}/{name}", b"1.5") for tank in range(5) for name in ("pressure", "level")]
            waiting = [(f"tanks/t{tank}/level", b"1.75") for tank in range(3)]
            sensor.publish([*pairs, *waiting, ("tanks/t1/pressure", b"not a number"), ("pumps/p", body(0))])
            books.wait("tanks", received=14, stepped=10, held=3, rejected=1)
            books.reload(alone, broker=broker)
            books.wait("tanks", received=14, stepped=13, held=0, rejected=1)
            books.reload(both, broker=broker)
            sensor.publish([*pairs, *waiting])
            books.wait("tanks", received=27, stepped=23, held=3, rejected=1)
            assert daemon.stop() == 0

            books.begin_anew()
            daemon.write_config(alone)
            daemon.start()
            sensor.publish([("pumps/p", body(1))])
            books.wait("pumps", received=1, stepped=1)
            books.wait("tanks", received=0, held_at_start=3, stepped=3, held=0)
            books.reload(both, broker=broker)
            sensor.publish(pairs)
            books.wait("tanks", received=10, held_at_start=3, stepped=13, held=0)
            told = run_command("status", "--json", "-c", str(daemon.config_path))
            assert msgspec.json.decode(told.stdout, type=Status).fleets["tanks"].counts.stepped == 13
            assert daemon.stop() == 0
        finally:
            if daemon.running:
                daemon.kill()


@pytest.mark.long
def test_a_model_that_a_reload_puts_away_is_announced_and_comes_back_with_its_fleet(
    tmp_path: Path, broker: Mosquitto
) -> None:
    """`check` says it before, status and log after; after a restart and another reload it is in force again."""
    before = config(broker.port, fleet("tanks", "pressure", "level"))
    wider = config(broker.port, fleet("tanks", "pressure", "level", "flow"))
    daemon = DaemonProcess(tmp_path / "d", before)
    seed_model(daemon)
    try:
        daemon.start()
        version = in_force(daemon)
        assert version is not None
        daemon.write_config(wider)
        checked = " ".join(run_command("check", "-c", str(daemon.config_path)).stdout.split())
        assert f"this puts away the model of tanks ({version}): features" in checked
        daemon.send(signal.SIGHUP)
        wait_until(lambda: in_force(daemon) is None, what="the model put away")
        told = status_of(daemon).put_away
        assert len(told) == 1
        assert "configured as before, the fleet has it back by itself" in told[0]
        assert "model put away" in daemon.log_text()
        assert daemon.stop() == 0
        daemon.start()
        daemon.write_config(config(broker.port, fleet("pumps", "pressure")))
        daemon.send(signal.SIGHUP)
        wait_until(lambda: "pumps" in status_of(daemon).fleets, what="the fleet left out")
        daemon.write_config(before)
        assert "puts away" not in run_command("check", "-c", str(daemon.config_path)).stdout
        daemon.send(signal.SIGHUP)
        wait_until(lambda: in_force(daemon) == version, what="the model back in force")
        assert status_of(daemon).put_away == []
        check_that_it_can_be_forgotten(daemon, before)
    finally:
        daemon.stop()
    replayed = run_command("replay", "-c", str(daemon.config_path))
    assert replayed.returncode == 0, replayed.stdout + replayed.stderr


def check_that_it_can_be_forgotten(daemon: DaemonProcess, before: str) -> None:
    """Not while it is configured; then no model comes back with a fleet of its name."""

    def forget(name: str) -> CompletedProcess[str]:
        return run_command("fleet", "forget", name, "-c", str(daemon.config_path))

    refused = forget("tanks")
    assert (refused.returncode, "is configured" in refused.stderr) == (69, True), refused.stderr
    daemon.write_config(config(port_of(before), fleet("pumps", "pressure")))
    daemon.send(signal.SIGHUP)
    wait_until(lambda: len(status_of(daemon).put_away) == 1, what="the model put away again")
    assert (found := forget("tanks")).stdout == "tanks is forgotten\n", found.stderr
    wait_until(lambda: status_of(daemon).put_away == [], what="nothing more that comes back")
    daemon.write_config(before)
    daemon.send(signal.SIGHUP)
    wait_until(lambda: _at_work(daemon, "tanks"), what="the fleet, configured again")
    assert in_force(daemon) is None


def port_of(text: str) -> int:
    """The broker's, in a configuration."""
    found = re.search(r"^port = (\d+)", text, re.MULTILINE)
    assert found is not None
    return int(found[1])


def _at_work(daemon: DaemonProcess, name: str) -> bool:
    return status_of(daemon).fleets.get(name, FleetStatus()).streams is not None


def status_of(daemon: DaemonProcess) -> Status:
    """What the daemon says of itself."""
    return msgspec.convert(call(daemon.state / SOCKET_NAME, StatusQuery()), Status)


def in_force(daemon: DaemonProcess) -> str | None:
    """The version that forecasts `tanks`."""
    return status_of(daemon).fleets.get("tanks", FleetStatus()).model
