"""What the experts of the listed horizons promise together: rows, delay, gaps, constants, checkpoints."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from gaugecast.forecast.horizons.experts import Ahead, HorizonExperts
from gaugecast.forecast.horizons.rows import PERSISTENCE
from gaugecast.records import Float64, Int64
from horizons.drive import HOUR_NS, MINUTE_NS, drive, errors_of, walks


def new_experts(
    features: int, *, horizons: tuple[int, ...] = (1, 3, 24, 100), period_ns: int = HOUR_NS
) -> HorizonExperts:
    """Of hourly streams unless said otherwise."""
    return HorizonExperts(period_ns, features, horizons, capacity=300)


def parts(ahead: Ahead, row: int) -> bytes:
    """Everything that is said of one stream, as bytes."""
    return b"".join(np.ascontiguousarray(part[row]).tobytes() for part in ahead)


@pytest.mark.no_cover
@pytest.mark.parametrize("features", [1, *(pytest.param(n, marks=pytest.mark.long) for n in (2, 7)), 3])
def test_rows_do_not_depend_on_their_batch(features: int) -> None:
    """Streams in crowds of 1 to 257, permuted, are told what they are told alone; networks come and go, and gaps.

    Seventeen of them have a past of eighty steps when the crowd comes, so that all horizons are due by then.
    """
    rng = np.random.default_rng(7)
    horizons = (1, 3, 24, 70)
    crowd, alone = new_experts(features, horizons=horizons), new_experts(features, horizons=horizons)
    series = walks(100, 257, features)
    witnesses = [0, 1, 8, 16, 100, 256]
    last = np.full((257, features), np.nan)
    for t in range(100):
        x = np.where(rng.random((257, features)) < 0.05, np.nan, series[t])
        gap = np.where(rng.random(257) < 0.05, rng.integers(1, 4, 257), 0)
        own = x[:, None] + rng.normal(size=(257, 4, features))
        own[t // 20 % 2 :: 3] = np.nan
        order = rng.permutation(17 if t < 80 else 257)
        cut = 1 + 37 * t % (len(order) - 1)
        for part in (order[:cut], order[cut:]):
            said = step(crowd, part, x, last, gap, own)
            for row, slot in enumerate(part.tolist()):
                if slot in witnesses:
                    one = step(alone, np.array([slot]), x, last, gap, own)
                    assert parts(one, 0) == parts(said, row), (t, slot)
        last = x


def test_the_next_step_alone_does_not_depend_on_its_batch() -> None:
    """One row and one horizon, of which NumPy would add up in another order, and hundreds."""
    crowd, alone = (HorizonExperts(10**9, 1, (1,), capacity=300) for _ in range(2))
    series = walks(60, 257, 1)
    last, gap = np.full((257, 1), np.nan), np.zeros(257, np.int64)
    own = series[:, :, None] + 0.3 * walks(60, 257, 1, seed=1)[:, :, None]
    for t in range(60):
        said = step(crowd, np.arange(257), series[t], last, gap, own[t])
        for slot in (0, 100, 256):
            assert parts(step(alone, np.array([slot]), series[t], last, gap, own[t]), 0) == parts(said, slot), t
        last = series[t]


def step(experts: HorizonExperts, slots: Int64, x: Float64, last: Float64, gap: Int64, own: Float64) -> Ahead:
    """One step of some streams."""
    filled = np.where(np.isnan(x), last, x)
    return experts.step(slots, x[slots], x=filled[slots], last=last[slots], gap=gap[slots], own=own[slots])


def test_a_horizon_learns_when_its_target_is_there_and_not_before() -> None:
    """Everything after a step may be noise: what was said up to it does not change by a bit."""
    series = walks(400, 2, 2)
    network = series[:, :, None, :] + 0.1 * walks(400, 2, 2, seed=1)[:, :, None, :].repeat(4, axis=2)
    noise, noisy_network = series.copy(), network.copy()
    noise[300:] = 50.0 * walks(100, 2, 2, seed=9)
    noisy_network[300:] = -3.0
    one = drive(new_experts(2), series, network=network)
    other = drive(new_experts(2), noise, network=noisy_network)
    for before, after in zip(one[:300], other[:300], strict=True):
        assert [parts(before, n) for n in range(2)] == [parts(after, n) for n in range(2)]
    assert parts(one[310], 0) != parts(other[310], 0)


@pytest.mark.parametrize("place", [1, 2, 3])
def test_a_horizon_learns_as_soon_as_its_target_is_there(place: int) -> None:
    """A first jump after quiet is learned from within a stride of the first forecast that it was the target of."""
    experts = new_experts(1)
    series = walks(300, 1, 1)
    drive(experts, series[:250])
    before = experts.columns["theta"][0, 0, :, place].copy()
    drive(experts, series[: 250 + int(experts.layout.stride[place])], first=250)
    assert (experts.columns["theta"][0, 0, :, place] != before).any()


def test_a_random_walk_is_left_to_persistence() -> None:
    """Whatever the linear expert believes for a while: at most two per cent worse, and mostly the last value itself."""
    experts, series = new_experts(8, horizons=(1, 12)), walks(1200, 1, 8)
    said = drive(experts, series)
    for place in range(2):
        error, last = errors_of(said, series, experts, place=place)
        assert np.square(error).mean() < 1.02 * np.square(last).mean()
    leads = np.array([one.leads for one in said])
    assert (leads == PERSISTENCE).mean() > 0.7


def test_a_network_that_knows_is_listened_to() -> None:
    """Two steps ahead it sees nine tenths of the move; the published error is nearly that of such a network."""
    experts, series = new_experts(2, horizons=(1, 2)), walks(900, 1, 2)
    ahead = np.stack([np.roll(series, -h, axis=0) for h in (1, 2)], axis=2)
    network = series[:, :, None] + 0.9 * (ahead - series[:, :, None])
    said = drive(experts, series, network=network)
    error, last = errors_of(said, series, experts, place=1)
    assert np.square(error[300:]).mean() < 0.03 * np.square(last[300:]).mean()


@pytest.mark.no_cover
def test_intervals_cover_what_they_say() -> None:
    """A wave with noise that changes its size: at each horizon within three points of the level."""
    rng = np.random.default_rng(8)
    experts = new_experts(6, horizons=(1, 6))
    noise = rng.normal(size=(1500, 1, 6)) * (1.0 + (np.arange(1500) // 300 % 2)[:, None, None])
    series = 5.0 * np.sin(np.arange(1500) * 2 * np.pi / 24)[:, None, None] + noise
    said = drive(experts, series)
    for (place, h), (level, nominal) in product(enumerate(experts.layout.horizons.tolist()), enumerate((0.8, 0.95))):
        lower = np.array([one.lower[:, place, :, level] for one in said[: 1500 - h]])
        upper = np.array([one.upper[:, place, :, level] for one in said[: 1500 - h]])
        inside = (series[h:] >= lower) & (series[h:] <= upper)
        assert abs(inside[200:].mean() - nominal) < 0.03


def test_constant_in_constant_out() -> None:
    """To the bit, at every horizon, bounds included, whatever the network says of it that is true."""
    series = np.full((300, 1, 2), 7.3)
    for said in drive(new_experts(2), series):
        assert (said.forecast == 7.3).all()
        assert (said.lower[~np.isnan(said.lower)] == 7.3).all()
        assert (said.upper[~np.isnan(said.upper)] == 7.3).all()


def test_a_feature_never_seen_is_not_forecast() -> None:
    """Nor does it harm its neighbour."""
    series = walks(60, 1, 2)
    series[:, :, 1] = np.nan
    said = drive(new_experts(2), series)[-1]
    assert np.isnan(said.forecast[0, :, 1]).all()
    assert np.isfinite(said.forecast[0, :, 0]).all()


def test_a_gap_is_not_learned_from() -> None:
    """What waited for a tick that never came is let go of, and what waits in its place is told apart."""
    experts = HorizonExperts(MINUTE_NS, 1, (1, 200), seasons=False)
    series = walks(900, 1, 1)
    drive(experts, series[:450])
    before = experts.columns["theta"][0, 0, :, 1].copy()
    values, last = series[450], series[449]
    gap: Int64 = np.array([1000])
    own = np.full((1, 2, 1), np.nan)
    experts.step(np.array([0]), values, x=values, last=last, gap=gap, own=own)
    drive(experts, series[: 451 + 190], first=451)
    assert (experts.columns["theta"][0, 0, :, 1] == before).all()
    drive(experts, series, first=641)
    assert (experts.columns["theta"][0, 0, :, 1] != before).any()


def test_a_row_goes_on_from_its_bytes() -> None:
    """Packed, put into another slot, and stepped on: the same bytes as if it had stayed."""
    series = walks(260, 1, 2)
    stays, moves = new_experts(2), new_experts(2)
    drive(stays, series[:200])
    drive(moves, series[:200])
    packed = moves.columns.pack(0)
    moves.columns.clear(0)
    assert moves.columns.unpack(5, packed)
    for t in range(200, 260):
        values, last, gap = series[t], series[t - 1], np.zeros(1, np.int64)
        own = np.full((1, 4, 2), np.nan)
        one, other = (
            e.step(np.array([slot]), values, x=values, last=last, gap=gap, own=own)
            for e, slot in ((stays, 0), (moves, 5))
        )
        assert parts(one, 0) == parts(other, 0)


@pytest.mark.parametrize("value", [1e150, -1e300, 1e-300])
def test_no_value_leaves_anything_that_is_not_finite(value: float) -> None:
    """One absurd reading among walks: forecasts and bounds stay finite."""
    series = walks(200, 1, 1)
    series[100] = value
    with np.errstate(over="ignore", invalid="ignore"):
        said = drive(new_experts(1), series)
    assert all(np.isfinite(one.forecast).all() for one in said)
    assert np.isfinite(said[-1].lower[:, :3]).all()


def test_after_a_shock_the_last_value_is_said_until_something_learned_of_it_has_been_judged() -> None:
    """What comes of forecasts from before it teaches for forty steps; what that is worth is known forty later."""
    series = 20.0 + np.random.default_rng(4).normal(size=(600, 3, 1))
    series[500:] += 300.0
    experts = HorizonExperts(MINUTE_NS, 1, (1, 40), capacity=3)
    said = np.array([one.forecast[:, 1] for one in drive(experts, series)])
    assert (said[450:500] != series[450:500]).all()
    assert (said[500:579] == series[500:579]).all()
