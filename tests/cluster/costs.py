"""What a reading costs in processor time, through a cluster and through one daemon: the same backlog, worked off."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from cluster.embedded import daemon
from cluster.live import site
from gaugecast_sim.load import LoadGenerator
from gaugecast_sim.packets import LoadPlan
from gaugecast_sim.sink import Sink
from support.mosquitto import wait_until

#: As the promise about memory has it.
_STREAMS = 10_000
#: All streams once, so that they are known; then so many rounds more, faster than anybody works them off.
_WARM, _MEASURED = _STREAMS, 4 * _STREAMS
_DEADLINE_S = 240.0


@dataclass(slots=True)
class Costs:
    """Microseconds of processor time a reading, of all threads; memory of a partition with 10,000 streams, MB.

    Attributes:
        ratio: Ingest and partition together, of what one daemon takes in the same run.
    """

    ingest_us: float
    partition_us: float
    partition_mb: float
    embedded_us: float
    embedded_mb: float
    ratio: float


def measure(directory: Path) -> Costs:
    """One partition and one ingest, then one daemon."""
    parts, ways = directory / "cluster", directory / "embedded"
    parts.mkdir()
    ways.mkdir()
    with site(parts, partitions=1, streams=_STREAMS, rate=2000.0, workers=0, count=_WARM) as one:
        one.begin_load()
        wait_until(lambda: one.sink.count >= _WARM, what=one.log_tail, deadline_s=_DEADLINE_S)
        pids = {name: part.pid for name, part in one.parts().items()}
        spent = _spent(pids, one.broker.port, one.plan, one.sink)
        partition_mb = memory_mb(pids["partition-0"])
    with daemon(ways, streams=_STREAMS) as (pid, port, plan, sink):
        _send(port, plan, first=0, rate=2000.0, count=_WARM)
        wait_until(lambda: sink.count >= _WARM, what="the daemon's forecasts", deadline_s=_DEADLINE_S)
        embedded = _spent({"daemon": pid}, port, plan, sink)["daemon"]
        embedded_mb = memory_mb(pid)
    ingest, partition = spent["ingest-0"], spent["partition-0"]
    return Costs(
        ingest_us=round(ingest, 1), partition_us=round(partition, 1), partition_mb=round(partition_mb),
        embedded_us=round(embedded, 1), embedded_mb=round(embedded_mb), ratio=round((ingest + partition) / embedded, 2),
    )  # fmt: skip


def _spent(pids: dict[str, int], port: int, plan: LoadPlan, sink: Sink) -> dict[str, float]:
    """By process µs a reading, while a backlog is worked off."""
    before, count = {name: cpu_s(pid) for name, pid in pids.items()}, sink.count
    _send(port, plan, first=_WARM, rate=None, count=_MEASURED)
    wait_until(lambda: sink.count >= count + _MEASURED, what="the backlog's forecasts", deadline_s=_DEADLINE_S)
    return {name: (cpu_s(pid) - before[name]) / _MEASURED * 1e6 for name, pid in pids.items()}


def _send(port: int, plan: LoadPlan, *, first: int, rate: float | None, count: int) -> None:
    LoadGenerator("127.0.0.1", port, plan, first=first, rate=rate, count=count, client_id=f"load-{first}").run()


def cpu_s(pid: int) -> float:
    """Processor time of a process so far, s."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_mb(pid: int) -> float:
    """Resident memory, MB."""
    fields = Path(f"/proc/{pid}/statm").read_text().split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
