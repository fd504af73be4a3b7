"""Every format through a broker: all messages accounted for, and a replay gives the same bytes."""

from __future__ import annotations

import json
from pathlib import Path

from e2e.scenes import Listener, check_books
from gaugecast.topics import path_text
from support.daemon import run_command, run_daemon
from support.formats import BY_FILTER, FORMATS, NUMBER, Written
from support.mosquitto import Mosquitto, RawClient

START_S = 1_767_225_600
READINGS = 6
ALL = (*FORMATS, BY_FILTER, NUMBER)


def name_of(form: Written) -> str:
    """As a fleet may be called."""
    return form.name.replace(" ", "-")


def topic_of(form: Written, tank: str) -> str:
    """Sparkplug's has its own shape."""
    return f"spBv1.0/g/DDATA/n/{tank}" if form.name == "sparkplug" else f"{name_of(form)}/{tank}"


def stanza(form: Written) -> str:
    """What a user writes to read it."""
    fleet = form.fleet()
    pattern = "spBv1.0/g/DDATA/{node}/{tank}" if form.name == "sparkplug" else f"{name_of(form)}/{{tank}}"
    lines = [f"[fleet.{name_of(form)}]", f'subscribe = ["{pattern}"]', 'stream = "{tank}"', 'period = "1s"']
    lines += ['stale_after = "1d"', f'payload = "{fleet.payload}"']
    if fleet.payload == "csv":
        lines += [f"columns = {json.dumps(fleet.columns)}", f'separator = "{fleet.separator}"']
    own = fleet.payload in ("influx", "senml", "sparkplug", "number")
    lines += [] if own or fleet.time_path is None else [f'time = "{path_text(fleet.time_path)}"']
    if fleet.records_path:
        lines.append(
            'records = "$[*]"' if fleet.records_path == ("*",) else f'records = "{path_text(fleet.records_path)}"'
        )
    if fleet.name_path is not None and fleet.value_path is not None:
        lines += [f'name = "{path_text(fleet.name_path)}"', f'value = "{path_text(fleet.value_path)}"']
    for feature in fleet.features:
        lines.append(f"[fleet.{name_of(form)}.features.{feature.name}]")
        lines += [f'path = "{path_text(feature.path)}"'] if form is BY_FILTER else []
    return "\n".join(lines) + "\n"


def messages_of(form: Written) -> list[tuple[str, bytes]]:
    """Two at a time where a payload may have several; then what is not ours, and what is nothing at all."""
    readings = [(START_S + i, 2.5 + i / 4, 40.125 - i) for i in range(READINGS)]
    single = form in (BY_FILTER, NUMBER)
    parts = [[one] for one in readings] if single else [readings[i : i + 2] for i in range(0, READINGS, 2)]
    return [(topic_of(form, "t7"), form.write(part)) for part in parts] + [(topic_of(form, "t7"), b"\xff\xfe\xfd")]


def test_every_format_is_read_accounted_for_and_replayed_byte_for_byte(tmp_path: Path, broker: Mosquitto) -> None:
    """Thirteen fleets on one broker; each reading is one forecast, each message of rubbish one reject."""
    config = f"[mqtt]\nport = {broker.port}\n" + "".join(map(stanza, ALL))
    messages = [message for form in ALL for message in messages_of(form)]
    bare = READINGS - 1  # numbers without time: several of one period are one step and several too many
    stepped = READINGS * len(ALL)
    with (
        Listener(broker, tmp_path, ("gaugecast/+/+",)) as listener,
        RawClient(broker) as sensor,
        run_daemon(tmp_path / "d", config) as daemon,
    ):
        sensor.publish(messages)
        check_books(daemon, stepped=stepped - bare, same_period=bare, rejected=len(ALL), late=0, duplicate=0)
        listener.wait_distinct(READINGS)
        assert daemon.stop() == 0
        found = run_command("replay", "-c", str(daemon.config_path))
    assert found.returncode == 0, found.stdout + found.stderr
    assert f"{stepped - bare} messages reproduced byte for byte" in found.stdout
