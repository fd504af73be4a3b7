"""What is confirmed a second, ours beside peers', each on a broker of its own, in turn."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

from bench.contest import Lane, Pace, our_lane, peer_lane
from bench.results import Bound, Result
from bench.rig import workplace
from bench.scale import Scale

STREAMS = 10_000
#: Of the peers that forecast one by one: so few that all of them are warm.
FEW_STREAMS = 50
#: They are slower by factors, so fewer rounds tell as much.
SLOW_ROUNDS = 2
_Make = Callable[[Path], AbstractContextManager[Lane]]


def measure(scale: Scale) -> list[Result]:
    """Both QoS; at QoS 0 those too that forecast."""
    at_0 = contend(_contestants(0) | _forecasters(), scale)
    at_1 = contend(_contestants(1), scale)
    return [
        _compare("throughput_qos0_vs_paho", at_0, "paho", Bound("≥", 1.2, "ratio")),
        _compare("throughput_qos0_vs_gmqtt", at_0, "gmqtt"),
        _compare("throughput_qos1_vs_paho", at_1, "paho", Bound("≥", 2.5, "ratio")),
        _compare("throughput_qos1_vs_gmqtt", at_1, "gmqtt", Bound("≥", 2.0, "ratio")),
        _compare("throughput_vs_predict", at_0, "predict", Bound("≥", 200.0, "ratio")),
        _compare("throughput_vs_compiled", at_0, "compiled"),
        _compare("throughput_vs_river", at_0, "river"),
        _cost("cpu_us_per_forecast", at_1, "QoS 1"),
        _cost("cpu_us_per_forecast_qos0", at_0, "QoS 0"),
    ]


def contend(makes: dict[str, _Make], scale: Scale) -> dict[str, list[Pace]]:
    """The pace of each contestant in each round; all of them are there all the time, one at a time has load."""
    paces: dict[str, list[Pace]] = {name: [] for name in makes}
    with workplace() as place, ExitStack() as stack:
        lanes = {name: stack.enter_context(make(place / name)) for name, make in makes.items()}
        for turn in range(scale.rounds):
            for name, lane in lanes.items():
                if turn >= SLOW_ROUNDS and lane.streams == FEW_STREAMS:
                    continue
                pace = lane.pace(scale)
                paces[name].append(pace)
                print(f"    {turn} {name:10} QoS {lane.qos} {pace.rate:9,.0f}/s {pace.cpu_us:9,.1f} µs", flush=True)
    return paces


def _contestants(qos: int) -> dict[str, _Make]:
    """The daemon, and clients that send back what comes."""
    return {
        "gaugecast": lambda place: our_lane(place, streams=STREAMS, qos=qos),
        "paho": lambda place: peer_lane(place, "paho_client", streams=STREAMS, qos=qos, rounds=1),
        "gmqtt": lambda place: peer_lane(place, "gmqtt_echo", streams=STREAMS, qos=qos, rounds=1),
    }


def _forecasters() -> dict[str, _Make]:
    """What forecasts one message after the other."""
    return {
        "predict": lambda place: peer_lane(place, "tutorial", streams=FEW_STREAMS, qos=0, rounds=1),
        "compiled": lambda place: peer_lane(place, "tutorial", "compiled", streams=FEW_STREAMS, qos=0, rounds=10),
        "river": lambda place: peer_lane(place, "river_snarimax", streams=FEW_STREAMS, qos=0, rounds=10),
    }


def _compare(name: str, paces: dict[str, list[Pace]], peer: str, bound: Bound | None = None) -> Result:
    ours, others = ([pace.rate for pace in paces[who]] for who in ("gaugecast", peer))
    return Result(name, "msg/s", ours, others, bound, _PEERS[peer])


def _cost(name: str, paces: dict[str, list[Pace]], qos: str) -> Result:
    ours, others = ([pace.cpu_us for pace in paces[who]] for who in ("gaugecast", "paho"))
    note = f"{qos}, {STREAMS:,} streams; the peer is the bare paho echo, µs a message"
    return Result(name, "µs", ours, others, Bound("≤", 18.0), note)


_PEERS = {
    "paho": "bare paho echo with its defaults",
    "gmqtt": "bare gmqtt echo on uvloop",
    "predict": "`on_message` → `predict` on a stateful Keras LSTM(64), states swapped; QoS 0",
    "compiled": "the same as a `tf.function`; QoS 0",
    "river": "River's SNARIMAX(3, 1, 1) a feature, behind paho; QoS 0",
}
