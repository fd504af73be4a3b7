"""SIGHUP, from a real service manager's socket and a real broker's side: all of a good file, nothing of a bad one."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.daemon import DaemonProcess
from support.mosquitto import Mosquitto, RawClient, run_mosquitto, wait_until
from support.service_manager import ServiceManager, listen

FLEET = """
[fleet.{name}]
subscribe = ["{name}/{{tank}}"]
time = "$.t"
period = "{period}"
horizon = {horizon}
[fleet.{name}.features.pressure]
unit = "bar"
"""


def config(broker: Mosquitto, *fleets: str, host: str = "127.0.0.1") -> str:
    """A configuration with these fleets."""
    return f'[mqtt]\nhost = "{host}"\nport = {broker.port}\n' + "".join(fleets)


def fleet(name: str, *, period: str = "1s", horizon: int = 1) -> str:
    """A fleet's table."""
    return FLEET.format(name=name, period=period, horizon=horizon)


def horizons_of(forecast: dict[str, object]) -> list[object]:
    """Forecasts of all steps ahead."""
    found = forecast["horizons"]
    assert isinstance(found, list)
    return found


class Bench:
    """A daemon under a service manager, on a broker, with a client that sends and hears."""

    def __init__(self, broker: Mosquitto, manager: ServiceManager, daemon: DaemonProcess, client: RawClient) -> None:
        self.broker, self.manager, self.daemon, self.client = broker, manager, daemon, client
        self.at = 1_800_000_000 - 5 * 365 * 86_400

    def reload(self, text: str, *, subscribes: bool = False) -> str:
        """Write a configuration, send SIGHUP, wait until the service manager is told how it went.

        READY says that it is in force here; if it `subscribes` anew, the broker is waited for, too.
        """
        granted = self.broker.count("Sending SUBACK to gaugecast")
        self.daemon.write_config(text)
        self.manager.forget()
        self.daemon.send(signal.SIGHUP)
        self.manager.wait_for("READY=1")
        if subscribes:
            self.broker.wait_for("Sending SUBACK to gaugecast", times=granted + 1)
        return "\n".join(self.manager.lines())

    def send(self, topic: str) -> None:
        """One reading, a second later than the last."""
        self.at += 1
        self.client.publish([(topic, json.dumps({"t": self.at, "pressure": 2.0}).encode())])

    def forecasts(self, topic: str) -> list[dict[str, object]]:
        """Forecasts heard on a topic."""
        return [json.loads(m.payload) for m in self.client.heard if m.topic == topic]

    def exchange(self, topic: str, answer: str) -> dict[str, object]:
        """Send one reading, and wait for the forecast that it makes."""
        before = self.steps(answer)  # copies of earlier ones may come again after a kill
        self.send(topic)
        wait_until(lambda: self.steps(answer) > before, what=f"a forecast on {answer}")
        return next(f for f in reversed(self.forecasts(answer)) if f["step"] == self.steps(answer))

    def steps(self, answer: str) -> int:
        """The highest step number heard on a topic."""
        return max((int(str(f["step"])) for f in self.forecasts(answer)), default=-1)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """One fleet, `tanks`, running."""
    with run_mosquitto(tmp_path / "broker") as broker, listen(tmp_path) as manager:
        daemon = DaemonProcess(tmp_path / "d", config(broker, fleet("tanks")), environment=manager.environment)
        with RawClient(broker, subscribe="gaugecast/#") as client:
            try:
                daemon.start()
                manager.wait_for("READY=1")
                yield Bench(broker, manager, daemon, client)
            finally:
                if daemon.running:
                    daemon.kill()


def test_a_new_fleet_is_forecast_after_a_reload_and_the_old_one_goes_on_where_it_was(bench: Bench) -> None:
    """The session, the process and the step numbers stay; the broker sends the new fleet's readings."""
    first = bench.exchange("tanks/a", "gaugecast/tanks/a")
    pid, connects = bench.daemon.pid, bench.broker.count("New client connected")
    said = bench.reload(config(bench.broker, fleet("tanks"), fleet("pumps")), subscribes=True)
    assert said.index("RELOADING=1") < said.index("MONOTONIC_USEC=") < said.index("READY=1")
    assert bench.exchange("pumps/p", "gaugecast/pumps/p")["stream"] == "p"
    second = bench.exchange("tanks/a", "gaugecast/tanks/a")
    assert second["step"] == int(str(first["step"])) + 1
    assert (bench.daemon.pid, bench.broker.count("New client connected")) == (pid, connects)
    assert bench.daemon.metrics().unaccounted == 0


def test_a_changed_fleet_forecasts_by_its_new_settings_from_the_next_reading_on(bench: Bench) -> None:
    """A longer horizon after the reload, same stream, next step; and the same again after kill -9."""
    assert bench.exchange("tanks/a", "gaugecast/tanks/a")["horizons"] == []
    bench.reload(config(bench.broker, fleet("tanks", horizon=3)))
    longer = bench.exchange("tanks/a", "gaugecast/tanks/a")
    assert len(horizons_of(longer)) == 3
    bench.daemon.kill()
    bench.daemon.start()
    after = bench.exchange("tanks/a", "gaugecast/tanks/a")
    assert (len(horizons_of(after)), after["step"]) == (3, 3)


def test_a_retired_fleet_is_let_go_at_the_broker(bench: Bench) -> None:
    """Its filter is unsubscribed: what is sent on it no longer reaches us."""
    bench.exchange("tanks/a", "gaugecast/tanks/a")
    bench.reload(config(bench.broker, fleet("pumps")), subscribes=True)
    bench.broker.wait_for("UNSUBSCRIBE from gaugecast")
    taken = bench.daemon.metrics().total("gaugecast_messages_received_total")
    bench.send("tanks/a")
    bench.exchange("pumps/p", "gaugecast/pumps/p")
    wait_until(
        lambda: bench.daemon.metrics().total("gaugecast_messages_received_total") == taken + 1,
        what="exactly one more message",
    )


#: Files that are wrong, each in its way, and what is said of them.
BAD = (
    ("not toml at all [", "expected '=' after a key"),
    ('[mqtt]\nhots = "x"\n' + fleet("tanks"), "hots"),
    (fleet("tanks") + fleet("pumps").replace('["pumps/{tank}"]', '["tanks/{tank}"]'), "overlaps"),
    (fleet("tanks", period="1 fortnight"), "fortnight"),
)


def test_a_bad_file_changes_nothing_and_says_why(bench: Bench) -> None:
    """STATUS and log carry the fault, the reload ends (READY), and forecasts go on; the next good file heals it."""
    bench.exchange("tanks/a", "gaugecast/tanks/a")
    for step, (bad, named) in enumerate(BAD, 2):
        said = bench.reload(bad)
        assert "running configuration stays" in said
        assert named in said
        assert named in bench.daemon.log_text()
        assert bench.exchange("tanks/a", "gaugecast/tanks/a")["step"] == step
    bench.manager.forget()
    bench.manager.wait_for("running configuration stays", deadline_s=5)  # still said a second later
    bench.reload(config(bench.broker, fleet("tanks")))
    bench.manager.forget()
    bench.exchange("tanks/a", "gaugecast/tanks/a")
    assert "running configuration stays" not in bench.manager.wait_for("STATUS=")


def test_what_only_a_restart_can_change_is_named_and_left(bench: Bench) -> None:
    """Another broker in the file: the key is logged, the connection stays, the fleets change all the same."""
    bench.reload(config(bench.broker, fleet("tanks"), fleet("pumps"), host="broker.invalid"), subscribes=True)
    assert "[mqtt] host" in bench.daemon.log_text()
    assert bench.exchange("pumps/p", "gaugecast/pumps/p")["stream"] == "p"
    assert bench.daemon.status()["broker"]["address"] == f"127.0.0.1:{bench.broker.port}"


def test_a_fleet_that_leaves_and_comes_back_begins_its_counts_anew(bench: Bench) -> None:
    """Counters never go down, whatever becomes of the fleet."""
    for _ in range(3):
        bench.exchange("tanks/a", "gaugecast/tanks/a")
    bench.reload(config(bench.broker, fleet("pumps")), subscribes=True)
    bench.exchange("pumps/p", "gaugecast/pumps/p")
    bench.reload(config(bench.broker, fleet("tanks"), fleet("pumps")), subscribes=True)
    bench.exchange("tanks/b", "gaugecast/tanks/b")
    bench.daemon.wait_metric("gaugecast_forecasts_total", 4, fleet="tanks")
    assert bench.daemon.metrics().total("gaugecast_forecasts_total", fleet="tanks") == 4
