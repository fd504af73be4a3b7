"""The simulators' commands, run as a user runs them."""

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gaugecast_sim.sink import Sink
from support.mosquitto import Mosquitto, free_port, run_mosquitto

HOST = "127.0.0.1"


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    """One mosquitto for the module."""

    with run_mosquitto(tmp_path_factory.mktemp("mosquitto"), log_all=False) as started:
        yield started


def command(*words: str) -> list[str]:
    """The command line of a simulator."""

    return [sys.executable, "-m", "gaugecast_sim", *words]


def run(*words: str) -> subprocess.CompletedProcess[str]:
    """Run a simulator to its end."""

    return subprocess.run(command(*words), capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("name", ["tanks", "replay", "load", "sink", "broker"])
def test_help_teaches_with_an_example(name: str) -> None:
    """Each command's help shows a line that can be typed."""
    done = run(name, "--help")
    assert done.returncode == 0
    assert f"python -m gaugecast_sim {name}" in re.sub(r"\s+", " ", done.stdout).split("Options")[0]


def test_sink_counts_what_load_sends(broker: Mosquitto) -> None:
    """The two as processes of their own, as the benchmarks use them."""
    port = ("--port", str(broker.port))
    with subprocess.Popen(
        command("sink", "plant/#", *port, "--qos", "1", "--count", "5000", "--for", "30"),
        stdout=subprocess.PIPE,
        text=True,
    ) as sink:
        assert sink.stdout is not None
        assert json.loads(sink.stdout.readline()) == {"subscribed": True}
        sent = run("load", *port, "--streams", "50", "--rate", "20000", "--count", "5000", "--qos", "1")
        last = sink.stdout.read().splitlines()[-1]
    assert json.loads(sent.stdout)["acked"] == 5000
    assert json.loads(last)["count"] == 5000


def test_replay_finds_its_file_and_reports(broker: Mosquitto, tmp_path: Path) -> None:
    """Rows, confirmations and absent cells, as JSON."""
    path = tmp_path / "x.csv"
    path.write_text("date,a,b\n2016-07-01,1,\n2016-07-02,2,3\n")
    done = run("replay", str(path), "--topic", "x/y", "--port", str(broker.port), "--send-time", "iso")
    report = json.loads(done.stdout)
    assert (report["rows"], report["confirmed"], report["absent_cells"]) == (2, 2, 1)


def test_tanks_run_for_a_while_with_faults(broker: Mosquitto) -> None:
    """Half a second of three tanks, where everything is duplicated now and then."""
    with Sink(HOST, broker.port, ["plant/demo/#"], qos=1) as sink:
        done = run(
            *("tanks", "--port", str(broker.port), "--tanks", "3", "--period", "0.05", "--for", "0.5"),
            *("--faults-per-hour", "36000", "--fault", "duplicate"),
        )
        report = json.loads(done.stdout)
        assert sink.wait_for(report["published"], 20) == report["published"]
    assert report["tampered"] > 0
    assert report["published"] == 30 + report["tampered"]


def test_ctrl_c_ends_the_tanks_with_a_report(broker: Mosquitto) -> None:
    """SIGINT: exit code 0 and the count."""
    with (
        Sink(HOST, broker.port, ["plant/stop/#"]) as sink,
        subprocess.Popen(
            command("tanks", "--port", str(broker.port), "--site", "stop", "--period", "0.1"),
            stdout=subprocess.PIPE,
            text=True,
        ) as child,
    ):
        sink.wait_for(5, 20)
        child.send_signal(signal.SIGINT)
        out, _ = child.communicate(timeout=20)
    assert child.returncode == 0
    assert json.loads(out)["published"] >= 5


def test_errors_are_one_line_and_exit_1() -> None:
    """No broker, no file, no sense: said without a traceback."""
    port = ("--port", str(free_port()))
    for words in (
        ("tanks", *port, "--for", "1"),
        ("load", *port, "--count", "1"),
        ("sink", *port, "--for", "1"),
        ("replay", "no/such.csv", *port),
        ("load", *port, "--topic", "without"),
    ):
        done = run(*words)
        assert done.returncode == 1, words
        assert "Traceback" not in done.stderr
        assert done.stderr.strip()
