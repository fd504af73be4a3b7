"""What the console reads of a ledger that is being written: beside it, and in short transactions."""

from __future__ import annotations

import threading
from pathlib import Path

from gaugecast.config.schema import Storage
from gaugecast.console.past import Past
from gaugecast.ledger import Ledger
from gaugecast.ledger.wal import BOUND_BYTES, WalCopier
from gaugecast.records import Commit
from ledger_rows import micro_batch

BOUND = 1 << 18


def test_constant_questions_do_not_keep_the_wal_from_beginning_anew(tmp_path: Path) -> None:
    """Somebody asks without a pause while commits follow one another; no transaction is long enough to pin the WAL,
    which begins anew over and over, as its header counts, once it outgrew its bound (64 MB where disks are large).
    How far it outgrows it is the scheduler's to say: a question may be stopped in its midst."""
    ledger, over = Ledger.open(tmp_path, Storage()), threading.Event()
    copier, past, asked = WalCopier(ledger.path, bound=BOUND), Past(tmp_path), [0]

    def ask() -> None:
        while not over.is_set():
            past.history("tanks", "hall/boiler", from_ns=None, to_ns=None, most=20_000)
            past.events()
            asked[0] += past.last_seq() > 0

    asking, beginnings = threading.Thread(target=ask), set()
    asking.start()
    try:
        for first in range(0, 60_000, 300):
            ledger.commit(Commit(*micro_batch(first, 300), confirmed=first))
            copier.copy()
            with ledger.path.with_name("ledger.sqlite-wal").open("rb") as file:
                beginnings.add(file.read(16)[12:])  # the checkpoint sequence number
    finally:
        over.set()
        asking.join()
        copier.close()
        ledger.close()
    assert asked[0] > 10
    assert (BOUND_BYTES, copier.failures_total) == (64 << 20, 0)
    assert len(beginnings) > 3
