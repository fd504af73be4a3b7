"""What the demo simulates: the tanks, their configuration, and the faults that happen to them now and then."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from gaugecast.config.resolve import resolve_fleets
from gaugecast.config.schema import Settings
from gaugecast.fleet import Fleet
from gaugecast_sim.faults import Fault, Kind
from gaugecast_sim.tanks import tank_names

FLEET = "demo-tanks"
PERIOD_S = 0.5
TIME_SCALE = 120.0  # a step is a minute of plant time: heater and pump cycles take 20 to 40 steps
TANKS = 6  # with two features each they fill a terminal of 24 lines
FIRST_FAULT_S = 8.0
FAULT_EVERY_S = 8.0

#: What may go wrong: kind, duration in periods, size (`faults` tells its meaning), field.
TROUBLES: tuple[tuple[Kind, int, float, str], ...] = (
    (Kind.GAP, 3, 0.0, ""),
    (Kind.SPIKE, 1, 90.0, "temperature"),  # beyond `valid`: refused, and the step is partial
    (Kind.NAN, 2, 0.0, ""),
    (Kind.DUPLICATE, 2, 1.0, ""),
    (Kind.LATE, 2, 1.3, ""),
    (Kind.BAD_BYTES, 1, 0.0, ""),
    (Kind.STUCK, 60, 0.0, "temperature"),  # an anomaly, with its end
)

#: The same troubles, as the screen says them.
PLAIN_WORDS = {
    Kind.GAP: "falls silent",
    Kind.SPIKE: "sends an impossible temperature",
    Kind.NAN: "sends NaN",
    Kind.DUPLICATE: "sends everything twice",
    Kind.LATE: "is late",
    Kind.BAD_BYTES: "sends garbage",
    Kind.STUCK: "has a temperature that stands still",
}

CONFIG = """\
# Written by `gaugecast demo`. Other commands take it too while the demo runs: gaugecast status -c {file}
[mqtt]
host = {host}
port = {port}
protocol = {protocol}
client_id = {client_id}
session_expiry_s = 0
status_topic = "gaugecast/demo/status"

[storage]
directory = "state"

[http]
port = {http_port}

[console]
enabled = {console}
port = {console_port}

[learning]
mode = "off"  # its model comes with the package

[loop]
skill_half_life = 120  # a minute, so that the skill shows the last minute's forecasts

"""

#: What the packaged model was trained for.
FLEET_CONFIG = """\
[fleet.demo-tanks.features.pressure]
unit = "bar"
valid = [0, 10]

[fleet.demo-tanks.features.temperature]
unit = "°C"
valid = [-40, 150]

[fleet.demo-tanks.anomaly]
healthy = "30s"
settle = "5s"

[[fleet.demo-tanks.threshold]]
feature = "pressure"
above = 2.9
within = "5s"

[fleet.demo-tanks]
subscribe = ["plant/demo/{tank}/telemetry"]
time = "$.t"
period = "500ms"
horizons = ["500ms", "2s", "5s"]
"""


def render_config(
    file: Path, *, host: str, port: int, protocol: str, client_id: str = "gaugecast-demo", http_port: int = 0,
    console_port: int | None = None,
) -> str:  # fmt: skip
    """The daemon's configuration, to be written to `file`; its state goes beside it."""
    head = CONFIG.format(
        file=file,
        host=json.dumps(host),
        port=port,
        protocol=json.dumps(protocol),
        client_id=json.dumps(client_id),
        http_port=http_port,
        console=json.dumps(console_port is not None),
        console_port=console_port or 0,
    )
    return head + FLEET_CONFIG


def demo_fleet() -> Fleet:
    """The one fleet, resolved from the very text that the daemon is given."""
    import tomllib

    text = render_config(Path("demo.toml"), host="localhost", port=1883, protocol="5")
    return resolve_fleets(Settings(**tomllib.loads(text)))[0]


def fault_schedule(seed: int, *, tanks: int, start_ns: int, until_s: float = 86_400.0) -> tuple[Fault, ...]:
    """One trouble after another, each on one tank, `FAULT_EVERY_S` apart on average; the first before long.

    Args:
        start_ns: Instant of the first reading, Unix ns UTC.
        until_s: No faults later than this after the start.
    """
    rng = np.random.default_rng(seed)
    names = tank_names(tanks)
    faults, at_s, turn = [], FIRST_FAULT_S, 0
    order = rng.permutation(len(TROUBLES))
    while at_s < until_s:
        kind, periods, size, feature = TROUBLES[order[turn % len(order)]]
        begin_ns = start_ns + round(at_s * 1e9)
        topic = f"*/{names[rng.integers(len(names))]}/*"
        faults.append(Fault(kind, topic, begin_ns, begin_ns + round(periods * PERIOD_S * 1e9), size, feature))
        at_s += FAULT_EVERY_S * float(rng.uniform(0.6, 1.4))
        turn += 1
    return tuple(faults)
