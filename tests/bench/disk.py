"""What the disk is asked for: bytes kept and written a reading, the file beside `keep_gb`, and a stream's history.

These are bytes, not times, so that several daemons may run side by side while a long ledger is made.
"""

from __future__ import annotations

import multiprocessing
import time
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from bench.contest import Lane
from bench.history import History
from bench.results import Bound, Result
from bench.rig import prepare, run_broker, run_daemon, workplace
from bench.scale import Scale
from gaugecast.ledger.reader import LedgerReader
from gaugecast.ledger.schema import FILE_NAME

#: Small enough to be full within a minute, large enough for some segments.
KEEP_GB, KEEP_RATE, KEEP_STREAMS = 0.025, 5000.0, 1000
HOLD_S, WARM_S = 35.0, 10.0
WRITTEN = {
    "disk_written_b_1000": (1000, 1000.0, "", 1500.0),
    "disk_written_b_20": (20, 20.0, "", 12_000.0),
    "disk_written_b_20_commit_1s": (20, 20.0, "commit_ms = 1000", 2000.0),
}


class Writer(NamedTuple):
    """One daemon whose writing is measured, and what it is offered."""

    name: str
    lane: Lane
    rate: float
    bound: float


def measure(scale: Scale) -> list[Result]:
    """All of it at the same time, then the history that was made meanwhile."""
    with workplace() as place, ExitStack() as stack:
        history = History(place / "history", readings=scale.count(10_000_000))
        maker = multiprocessing.get_context("fork").Process(target=history.make, daemon=True)
        maker.start()
        writers = [_writer(stack, place, name) for name in WRITTEN]
        written = _measure_written(writers, scale)
        kept = _measure_kept(place / "keep", scale)
        maker.join()
        return [*kept, *written, *history.measure(scale.rounds)]


def _writer(stack: ExitStack, place: Path, name: str) -> Writer:
    streams, rate, loop, bound = WRITTEN[name]
    broker = stack.enter_context(run_broker(place / name / "broker"))
    config = prepare(place / name / "daemon", broker.port, qos=1, loop=loop)
    daemon = stack.enter_context(run_daemon(config))
    lane = Lane(broker.port, daemon.child.pid, streams=streams, qos=1)
    stack.callback(lane.close)
    return Writer(name, lane, rate, bound)


def _measure_written(writers: list[Writer], scale: Scale) -> list[Result]:
    """Bytes that each gave to the disk for a reading, the ledger's copying and checkpoints included."""
    hold_s = scale.seconds(HOLD_S)
    for writer in writers:
        writer.lane.traffic.begin(writer.rate, WARM_S + hold_s + 5)
    time.sleep(WARM_S)
    before = [(w.lane.meter.written_bytes, w.lane.counter.read()) for w in writers]
    time.sleep(hold_s)
    results = []
    for writer, (written, heard) in zip(writers, before, strict=True):
        each = (writer.lane.meter.written_bytes - written) / (writer.lane.counter.read() - heard)
        note = f"{writer.rate:,.0f} readings/s of {writer.lane.streams:,} streams for {hold_s:.0f} s"
        results.append(Result(writer.name, "B", [each], bound=Bound("≤", writer.bound), note=note))
    for writer in writers:
        writer.lane.traffic.end()
    return results


def _measure_kept(place: Path, scale: Scale) -> list[Result]:
    """Fill a small ledger as fast as it goes, then go on at 5,000/s."""
    keep_bytes = max(0.2, scale.share) * KEEP_GB * 1e9
    with run_broker(place / "broker") as broker:
        storage = f"keep_gb = {keep_bytes / 1e9}"
        config = prepare(place / "daemon", broker.port, qos=1, storage=storage, units=16)
        state = config.parent / "state"
        with run_daemon(config) as daemon:
            lane = Lane(broker.port, daemon.child.pid, streams=KEEP_STREAMS, qos=1)
            _fill(lane, state, keep_bytes)
            lane.traffic.begin(KEEP_RATE, scale.seconds(HOLD_S / 2))
            sizes = []
            until = time.monotonic() + scale.seconds(HOLD_S / 2)
            while time.monotonic() < until:
                sizes.append(_size(state))
                time.sleep(0.2)
            lane.traffic.end()
            lane.drain()
            kept_b = _kept_b(state, lane)
            lane.close()
    note = f"{KEEP_RATE:,.0f} readings/s, keep_gb = {keep_bytes / 1e9:g}, oldest readings gone: {kept_b[1]}"
    overshoot = max(sizes) / keep_bytes
    return [
        Result("disk_kept_b", "B", [kept_b[0]], bound=Bound("≤", 60.0), note=f"the file ÷ the readings in it; {note}"),
        Result("keep_gb_overshoot", "of keep_gb", [overshoot], bound=Bound("≤", 1.1), note=f"largest file; {note}"),
    ]


def _fill(lane: Lane, state: Path, keep_bytes: float) -> None:
    """Offer in a closed loop until the oldest readings are deleted, or the file is twice what it may be."""
    lane.traffic.begin_loop(lane.counter)
    until = time.monotonic() + 180
    with LedgerReader(state) as reader:
        while reader.first_seq <= 1 and _size(state) < 2 * keep_bytes:
            assert time.monotonic() < until, f"{_size(state) / 1e6:.0f} MB after three minutes"
            time.sleep(0.5)
    lane.traffic.stop()
    lane.drain()


def _kept_b(state: Path, lane: Lane) -> tuple[float, bool]:
    """The file by the readings that are in it, once all is confirmed; and whether older ones are gone."""
    lane.counter.settled()
    with LedgerReader(state) as reader:
        return _size(state) / (reader.last_seq + 1 - reader.first_seq), reader.first_seq > 1


def _size(state: Path) -> int:
    return (state / FILE_NAME).stat().st_size
