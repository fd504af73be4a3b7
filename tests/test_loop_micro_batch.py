"""How many readings a batch may have: as many as are configured, fewer where a forecast of each is large."""

from __future__ import annotations

from gaugecast.batch import Outputs
from gaugecast.loop.micro_batch import OUTPUT_BYTES, BatchBound
from gaugecast.records import Output


def outputs(size: int) -> Outputs:
    """One with a body of so many bytes."""
    return Outputs.of([Output(0, "tanks", "a", 1, b"", "out/a", b"x" * size, False, 1)])


def test_forecasts_of_ordinary_size_do_not_shorten_a_batch() -> None:
    """It is shorter only until the first forecast was seen."""
    bound = BatchBound(2000)
    assert bound.readings < 2000
    bound.note(Outputs(), 0)
    assert bound.readings < 2000
    bound.note(outputs(800), 1)
    assert bound.readings == 2000


def test_large_forecasts_shorten_it_so_that_their_bytes_stay_bounded() -> None:
    """The largest one counts, however small those after it; a batch has one reading at least."""
    bound = BatchBound(2000)
    bound.note(outputs(230_000), 1)
    bound.note(outputs(800), 1)
    assert bound.readings == OUTPUT_BYTES // 230_000
    bound.note(outputs(2 * OUTPUT_BYTES), 1)
    assert bound.readings == 1


def test_a_message_of_a_whole_batch_counts_by_the_readings_that_it_is_of() -> None:
    """Else a gateway's message would make the next batch small, and that one the next large again."""
    bound = BatchBound(2000)
    whole = outputs(OUTPUT_BYTES // 4)
    whole.stream = [""]
    bound.note(whole, 500)
    assert bound.readings == 2000
