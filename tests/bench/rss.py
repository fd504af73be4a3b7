"""Peak resident memory of `gaugecast run` with many streams, copies for checkpoints included."""

from __future__ import annotations

from bench.contest import Lane
from bench.results import Bound, Result
from bench.rig import prepare, run_broker, run_daemon, workplace
from bench.scale import Scale
from support.mosquitto import wait_until

MANY, SOME = 100_000, 1_000
#: What 1,000 streams may take, MB, and each beyond them, KB.
FIRST_MB, STREAM_KB = 100.0, 2.5


def measure(scale: Scale) -> list[Result]:
    """1,000 and 100,000 streams of two features, LSTM(64), rows `per_feature`, a checkpoint included."""
    many = max(10 * SOME, scale.count(MANY))
    some_mb, many_mb = _peak_mb(SOME, rounds=60), _peak_mb(many, rounds=3)
    stream_kb = 1000 * (many_mb - some_mb) / (many - SOME)
    limit = FIRST_MB + STREAM_KB * (many - SOME) / 1000
    return [
        Result("rss_1k_mb", "MB", [some_mb], bound=Bound("≤", FIRST_MB), note=f"{SOME:,} streams"),
        Result("rss_100k_mb", "MB", [many_mb], bound=Bound("≤", round(limit)), note=f"{many:,} streams"),
        Result("rss_stream_kb", "KB", [stream_kb], bound=Bound("≤", STREAM_KB), note=f"each beyond {SOME:,}"),
    ]


def _peak_mb(streams: int, *, rounds: int) -> float:
    with workplace() as place, run_broker(place / "broker") as broker:
        config = prepare(place / "daemon", broker.port, qos=1)
        with run_daemon(config) as daemon:
            lane = Lane(broker.port, daemon.child.pid, streams=streams, qos=1)
            lane.warm(rounds)
            wait_until(lambda: daemon.metric("gaugecast_checkpoints_total") >= 1, what="a checkpoint", deadline_s=120)
            peak = lane.meter.peak_rss_mb
            lane.close()
    return peak
