"""Features in topics of their own, bare numbers, and the two versions of the protocol, with and without TLS."""

from __future__ import annotations

import subprocess
from pathlib import Path

import msgspec
import pytest

from e2e.scenes import (
    START_NS,
    Listener,
    check_books,
    check_messages,
    check_tanks,
    send_tanks,
    tanks_config,
    values_of,
)
from gaugecast_sim.load import LoadGenerator
from gaugecast_sim.packets import LoadPlan
from support.daemon import run_daemon
from support.mosquitto import Mosquitto, RawClient, make_certificates, run_mosquitto


def separate_config(port: int, *, grace: str = "60s") -> str:
    """Each feature on a topic of its own, without event times."""
    return f"""
[mqtt]
port = {port}
[fleet.tanks]
subscribe = ["plant/{{tank}}/{{feature}}"]
payload = "number"
untimed = "step"
period = "1s"
grace = "{grace}"
stale_after = "1d"
[fleet.tanks.features.level]
[fleet.tanks.features.inlet]
"""


def test_features_that_come_apart_are_joined_to_one_step(tmp_path: Path, broker: Mosquitto) -> None:
    """Bare numbers in separate topics: one forecast a pair, with both values in it."""
    plan = LoadPlan(4, START_NS, topic="plant/{stream}/{feature}", features=("level", "inlet"), qos=1)
    rounds = 50
    with Listener(broker, tmp_path) as listener, run_daemon(tmp_path / "d", separate_config(broker.port)) as daemon:
        LoadGenerator("127.0.0.1", broker.port, plan, count=rounds * plan.rows).run()
        found = check_messages(listener.wait_distinct(rounds * 4))
        check_books(daemon, stepped=rounds * plan.rows, late=0, duplicate=0, rejected=0)
    for number in range(4):
        messages = found[plan.stream_name(number)]
        for feature, name in enumerate(plan.features):
            expected = values_of(plan, number, feature, rounds)
            assert [m["observed"][name] for m in messages] == expected


def test_a_feature_that_stays_away_is_waited_for_and_then_marked(tmp_path: Path, broker: Mosquitto) -> None:
    """The step closes after `grace`, is `partial`, and until then the reading is counted as held."""
    with (
        Listener(broker, tmp_path) as listener,
        RawClient(broker) as sensor,
        run_daemon(tmp_path / "d", separate_config(broker.port, grace="2s")) as daemon,
    ):
        sensor.publish([("plant/t1/level", b"3.5"), ("plant/t1/inlet", b"1.5")])
        listener.wait_distinct(1)
        sensor.publish([("plant/t1/level", b"3.75")])
        daemon.wait_metric("gaugecast_readings_held", 1)
        check_books(daemon, stepped=2)
        (messages,) = check_messages(listener.wait_distinct(2)).values()
        check_books(daemon, stepped=3, late=0, duplicate=0, rejected=0)
    assert messages[1]["observed"] == {"level": 3.75, "inlet": None}
    assert "partial" in messages[1]["quality"]


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_both_versions_of_the_protocol_forecast_each_reading_once(
    tmp_path: Path, broker: Mosquitto, protocol: str
) -> None:
    """QoS 1 in and out."""
    config = tanks_config(broker.port, mqtt=f'protocol = "{protocol}"')
    with Listener(broker, tmp_path) as listener, run_daemon(tmp_path / "d", config) as daemon:
        send_tanks(broker, 800)
        check_tanks(listener.wait_distinct(800), 800)
        check_books(daemon, stepped=800, late=0, duplicate=0, rejected=0)


def test_who_comes_late_gets_the_last_forecast_of_each_stream(tmp_path: Path, broker: Mosquitto) -> None:
    """`retain = true`: the broker keeps one message a stream, the newest."""
    (tmp_path / "late").mkdir()
    config = tanks_config(broker.port, fleet="retain = true")
    with run_daemon(tmp_path / "d", config) as daemon:
        with Listener(broker, tmp_path) as listener:
            send_tanks(broker, 80)
            listener.wait_distinct(80)
        with Listener(broker, tmp_path / "late", ("gaugecast/+/+",), "-i", "late") as late:
            kept = late.wait_distinct(8)
        check_books(daemon, stepped=80, late=0, duplicate=0, rejected=0)
    assert [msgspec.json.decode(body)["step"] for _, body in kept] == [10] * 8


def test_tls_with_a_password_from_a_file(tmp_path: Path) -> None:
    """Nobody without the password gets in; the daemon does, and the password is in no argument or variable."""
    certificates = make_certificates(tmp_path / "certificates")
    (tmp_path / "passwords").write_text("gauge:s3cret-of-test\n")
    subprocess.run(["mosquitto_passwd", "-U", str(tmp_path / "passwords")], check=True)
    (tmp_path / "password").write_text("s3cret-of-test\n")
    login = f'host = "localhost"\nusername = "gauge"\npassword_file = "{tmp_path}/password"'
    tls = f'[mqtt.tls]\nca = "{certificates.ca}"\n'
    settings = {"certificates": certificates, "anonymous": False, "conf": f"password_file {tmp_path}/passwords\n"}
    words = ("-u", "gauge", "-P", "s3cret-of-test", "--cafile", str(certificates.ca))
    with run_mosquitto(tmp_path / "broker", **settings) as broker:
        config = tanks_config(broker.port, mqtt=f"{login}\n{tls}")
        with (
            Listener(broker, tmp_path, ("gaugecast/+/+",), *words) as listener,
            run_daemon(tmp_path / "d", config) as daemon,
        ):
            lines = "".join(f'{{"t": {1_767_225_600 + i}, "pressure": {i}, "temperature": 20}}\n' for i in range(100))
            publish = ["mosquitto_pub", "-h", "localhost", "-p", str(broker.port), "-q", "1", "-l", *words]
            subprocess.run([*publish, "-t", "plant/load/t1/telemetry"], input=lines.encode(), check=True, timeout=30)
            (messages,) = check_messages(listener.wait_distinct(100)).values()
            check_books(daemon, stepped=100, late=0, duplicate=0, rejected=0)
            assert [m["observed"]["pressure"] for m in messages] == list(range(100))
            for place in ("environ", "cmdline"):
                assert b"s3cret" not in Path(f"/proc/{daemon.pid}/{place}").read_bytes()
            assert "s3cret" not in daemon.log_text()
