"""What the learner remembers: windows come back as they were, and never span a break."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import pytest

from gaugecast.learn.online.memory import Track, Window

ROWS, INPUTS, STATE, WINDOW, STRIDE = 2, 3, 4, 6, 2


def track_of(steps: int, *, span: int = 20, fresh: Collection[int] = (), unknown: Collection[int] = ()) -> Track:
    """A track shown so many steps; each number in a step's arrays is the step's own."""
    like = Window(
        np.zeros((WINDOW, ROWS, INPUTS), np.float32),
        np.zeros((ROWS, STATE), np.float32),
        np.zeros((WINDOW, ROWS, 1), np.float32),
    )
    track = Track(like, span=span, stride=STRIDE)
    for t in range(steps):
        x, state = np.full((ROWS, INPUTS), t, np.float32), np.full((ROWS, STATE), t, np.float32)
        target = None if t in unknown else np.full((ROWS, 1), t, np.float32)
        track.add(x, state, target, fresh=t in fresh)
    return track


@pytest.mark.parametrize("steps", [6, 8, 25, 26, 27, 52, 1001])
def test_newest_window_is_the_last_steps_with_the_state_before_them(steps: int) -> None:
    """Also where the ring has come round, or a step beyond the stride has come."""
    track = track_of(steps)
    start = track.newest()
    assert start is not None
    assert start == steps // STRIDE * STRIDE - WINDOW
    window = track.window(start)
    np.testing.assert_array_equal(window.x[:, 0, 0], np.arange(start, start + WINDOW))
    np.testing.assert_array_equal(window.target[:, 1, 0], np.arange(start, start + WINDOW))
    np.testing.assert_array_equal(window.state, start)


def test_there_is_no_window_before_there_are_its_steps() -> None:
    """Five steps are no window of six."""
    track = track_of(WINDOW - 1)
    assert track.newest() is None
    assert track.draw(np.random.default_rng(0)) is None


def test_no_window_spans_a_break() -> None:
    """After a break the newest window waits until six steps followed it; drawn ones lie on either side."""
    assert track_of(13, fresh={9}).newest() is None
    assert track_of(16, fresh={9}).newest() == 10
    track, rng = track_of(24, span=100, fresh={9}), np.random.default_rng(0)
    starts = {track.draw(rng) for _ in range(200)} - {None}
    assert starts == {0, 2, 10, 12, 14, 16, 18}


def test_drawn_windows_cover_the_span_and_no_more() -> None:
    """Whatever is drawn is still in the ring, its state too, and everything in it is drawn some time."""
    track, rng = track_of(1001), np.random.default_rng(0)
    starts = {track.draw(rng) for _ in range(500)}
    assert starts == set(range(976, 996, 2))
    for start in filter(None, starts):
        window = track.window(start)
        np.testing.assert_array_equal(window.state, start)
        np.testing.assert_array_equal(window.x[:, 0, 0], np.arange(start, start + WINDOW))


def test_an_unknown_target_is_nan() -> None:
    """Nothing is made up where a reading was absent."""
    window = track_of(8, unknown={4}).window(2)
    assert np.isnan(window.target[:, 0, 0]).tolist() == [False, False, True, False, False, False]
