"""Gateways: one message brings an array of 500 readings, each of another stream."""

from __future__ import annotations

import contextlib
import multiprocessing
import socket
import time
from typing import Any

import numpy as np

from bench.meter import Meter
from bench.results import Bound, Result
from bench.rig import prepare, run_broker, run_daemon, workplace
from bench.scale import Scale
from bench.traffic import Allowance, BatchCounter, Counter, start_ns
from gaugecast_sim import wire

GATEWAYS, SIZE = 20, 500
WARM_ROUNDS = 10
FLAT = 'format = "flat"'


def measure(scale: Scale) -> list[Result]:
    """Readings confirmed a second in a closed loop: input at QoS 1, output at QoS 0."""
    return [
        *_measure(scale, ("arrays_readings_per_s", "arrays_rss_mb"), "", "", Counter, bound=30_000),
        *_measure(
            scale,
            ("arrays_batch_readings_per_s", "arrays_batch_rss_mb"),
            "batch = true",
            ", one JSON message a batch",
            BatchCounter,
            bound=50_000,
        ),
        *_measure(
            scale,
            ("arrays_flat_readings_per_s", "arrays_flat_rss_mb"),
            f"batch = true\n{FLAT}",
            ", one flat message a batch",
            BatchCounter,
            bound=None,
        ),
    ]


def _measure(
    scale: Scale, names: tuple[str, str], keys: str, how: str, counting: type[Counter], *, bound: float | None
) -> list[Result]:
    """One way of saying what is forecast; `keys` are those of the fleet."""
    with workplace() as place, run_broker(place / "broker") as broker:
        fleet, output = f'stream = "{{stream}}/{{$.id}}"\n{keys}', "echo/all" if keys else "echo/{stream}"
        config = prepare(place / "daemon", broker.port, qos=1, output=output, fleet=fleet)
        config.write_text(config.read_text().replace("output_qos = 1", "output_qos = 0"))
        with run_daemon(config) as daemon:
            counter = counting(broker.port, "echo/#", 0)
            load = multiprocessing.get_context("fork").Process(target=_send, args=(broker.port, counter), daemon=True)
            load.start()
            assert counter.reached(GATEWAYS * SIZE * WARM_ROUNDS, 60), "the streams did not warm up within a minute"
            paces = [_pace(counter, daemon.meter, scale.pace_s) for _ in range(scale.rounds)]
            peak_mb = daemon.meter.peak_rss_mb
            load.kill()
            load.join()
            counter.close()
    cpu = f"{np.median([cpu_us for _, cpu_us in paces]):.1f} µs of processor time a reading"
    note = f"{GATEWAYS} gateways, arrays of {SIZE}, in at QoS 1, out at QoS 0{how}; {cpu}"
    least, most = None if bound is None else Bound("≥", bound), None if keys else Bound("≤", 150)
    return [
        Result(names[0], "readings/s", [r for r, _ in paces], bound=least, note=note),
        Result(names[1], "MB", [peak_mb], bound=most, note=f"peak; {GATEWAYS * SIZE:,} streams"),
    ]


def _pace(counter: Counter, meter: Meter, seconds: float) -> tuple[float, float]:
    """Readings a second, and processor time a reading, µs."""
    began, heard, cpu_s = time.monotonic(), counter.read(), meter.cpu_s
    time.sleep(seconds)
    took_s, heard, cpu_s = time.monotonic() - began, counter.read() - heard, meter.cpu_s - cpu_s
    print(f"    {heard / took_s:,.0f} readings/s", flush=True)
    return heard / took_s, 1e6 * cpu_s / max(1, heard)


def _send(port: int, counter: Counter) -> None:
    """Send arrays as fast as their forecasts come back, until killed."""
    allowed = Allowance(counter.read, least=GATEWAYS * SIZE // 2)
    sock = wire.open_session("127.0.0.1", port, wire.Login("gateways"))
    begun_s, number = start_ns() // 10**9, 0
    while True:
        if allowed() < number * SIZE:
            time.sleep(0.002)
            continue
        at_s, gateway = begun_s + number // GATEWAYS, number % GATEWAYS
        packet_id = 1 + number % 65_535
        sock.sendall(wire.publish_packet(f"load/g{gateway}", array(gateway, at_s), qos=1, packet_id=packet_id))
        number += 1
        _drop_acks(sock)


def array(gateway: int, at_s: int, *, size: int = SIZE) -> bytes:
    """What a gateway's sensors, as many as `size`, measured at an instant."""
    phase = 0.618 * (gateway * size + np.arange(size)) + 2 * np.pi * at_s / 30
    pressures, temperatures = (50 + 40 * np.sin(phase)).round(3).tolist(), (50 + 40 * np.cos(phase)).round(3).tolist()
    readings = (
        f'{{"id":{i},"t":{at_s},"pressure":{pressure},"temperature":{temperature}}}'
        for i, (pressure, temperature) in enumerate(zip(pressures, temperatures, strict=True))
    )
    return f"[{','.join(readings)}]".encode()


def _drop_acks(sock: socket.socket) -> Any:
    with contextlib.suppress(BlockingIOError):
        return sock.recv(1 << 16, socket.MSG_DONTWAIT)
