"""One stream's history in a ledger of ten million readings, a hundredth of which are its own."""

from __future__ import annotations

import random
import struct
import time
from dataclasses import replace
from pathlib import Path

from bench.results import Bound, Result
from gaugecast.config.schema import Storage
from gaugecast.ledger import Ledger, LedgerReader
from gaugecast.records import Commit, Input, Order, Output, Verdict
from gaugecast.testing import fleet_of

FLEET, STREAM, OTHERS = "tanks", "hall-0/tank-0", 10_000
BATCH, BATCHES = 2000, 40
START_NS = 1_767_225_600 * 10**9
PAGE = 1000


class History:
    """A ledger in a directory, with so many readings and their forecasts.

    Args:
        every: One reading of so many is of the one stream.
        configured: Begin with the fleet's configuration, as a daemon's ledger does.
    """

    def __init__(self, directory: Path, *, readings: int, every: int = 100, configured: bool = False) -> None:
        self._directory, self._readings = directory, readings
        self._every, self._configured = every, configured

    def make(self) -> None:
        """Write it, not waiting for the disk; sealed as the loop does it."""
        self._directory.mkdir(parents=True)
        with_forecasts = [_batch(number, self._every) for number in range(BATCHES)]
        ledger = Ledger.open(self._directory, Storage(directory=self._directory, keep_gb=1e3, keep_days=1e5))
        ledger._connection.execute("PRAGMA synchronous = OFF")
        if self._configured:
            ledger.commit(Commit([Order.configuring(fleet_of("pq")).stamped(START_NS)], [Verdict.NONE]))
        done = 0
        while done < self._readings:
            ledger.commit(replace(with_forecasts[done // BATCH % BATCHES], confirmed=done))
            done += BATCH
            while ledger.prune(0):
                pass
        ledger.close()

    def measure(self, tries: int) -> list[Result]:
        """Milliseconds to the first page and to the last, of all that it has."""
        first_ms, all_ms, count = [], [], 0
        for _ in range(tries):
            with LedgerReader(self._directory) as reader:
                began = time.perf_counter()
                pages = reader.history(FLEET, STREAM, most=PAGE)
                count = len(next(pages).readings)
                first_ms.append(1e3 * (time.perf_counter() - began))
                count += sum(len(page.readings) for page in pages)
                all_ms.append(1e3 * (time.perf_counter() - began))
        note = f"{count:,} readings of one stream among {self._readings:,}, with their forecasts"
        return [
            Result("history_first_page_ms", "ms", first_ms, bound=Bound("≤", 50.0), note=f"{PAGE:,} of {note}"),
            Result("history_100k_ms", "ms", all_ms, bound=Bound("≤", 300.0), note=note),
        ]


def _batch(number: int, every: int) -> Commit:
    """Readings as sensors send them, few decimals; one of `every` is of the one stream."""
    rng = random.Random(number)
    inputs, outputs = [], []
    for i in range(BATCH):
        place = number * BATCH + i
        stream = STREAM if i % every == 0 else f"hall-{place % 20}/tank-{1 + place % OTHERS}"
        at_ns = START_NS + place * 10**7
        values = round(3 + rng.gauss(0, 0.3), 3), round(60 + rng.gauss(0, 3), 2)
        forecast = values[0] + rng.gauss(0, 0.01), values[1] + rng.gauss(0, 0.1)
        inputs.append(Input.reading(FLEET, stream, at_ns, at_ns + 10**6, struct.pack("<2d", *values)))
        outputs.append(
            Output(i, FLEET, stream, 1 + place, struct.pack("<2d", *forecast), f"out/{stream}", b"{}", False, 1)
        )
    return Commit(inputs, [0] * BATCH, outputs)
