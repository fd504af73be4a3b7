"""The mixture finds the best blend of its experts, and the gate keeps it from doing harm."""

from __future__ import annotations

import numpy as np
import pytest

from gaugecast.forecast.horizons import mixture
from gaugecast.records import Float64

ONE = np.array([1])
NOBODY = np.zeros((1, 1), bool)  # no network is there


def mixed(moves: Float64, came: Float64) -> tuple[Float64, Float64]:
    """What is published of one row at each step (T,), and the last weights (E,); moves (T, E), targets (T,)."""
    state = mixture.BEGIN[:, None, None].copy()
    told = []
    for move, target in zip(moves, came, strict=True):
        told.append(float((mixture.weights(state, NOBODY, ONE)[:, 0, 0] * move).sum()))
        mixture.learn(state, move[:, None, None], np.array([[target]]), np.ones((1, 1), bool), ONE)
    return np.array(told), mixture.weights(state, NOBODY, ONE)[:, 0, 0]


def test_two_experts_with_errors_of_their_own_are_blended() -> None:
    """Half of each has half the squared error of either; the mixture is nearly as good as that."""
    rng = np.random.default_rng(1)
    came, one, other = rng.normal(size=(3, 3000))
    moves = np.stack([0 * came, came + one, came + other, came + 3 * other], axis=1)
    told, weights = mixed(0.5 * moves, 0.5 * came)
    best = np.square(0.5 * (1 / 3) * (one + other) - 0.5 * came / 3)[500:].mean()
    assert np.square(told - 0.5 * came)[500:].mean() < 1.05 * best
    assert abs(weights[1] - weights[2]) < 0.1


def test_a_sensor_that_sits_still_most_of_the_time_is_forecast_by_who_knows_its_jumps() -> None:
    """Persistence is right nine times of ten; the tenth is what a squared error asks for."""
    rng = np.random.default_rng(2)
    came = np.where(rng.random(4000) < 0.1, rng.normal(size=4000) * 5, 0.0)
    moves = np.stack([0 * came, 0.8 * came + 0.1 * rng.normal(size=4000), 0 * came, 0 * came], axis=1)
    told, weights = mixed(moves, came)
    assert weights[1] > 0.9
    assert np.square(told - came)[500:].mean() < 0.1 * np.square(came)[500:].mean()


def test_where_nobody_beats_persistence_it_is_published() -> None:
    """Moves that are noise: the gate stays shut, and persistence says so."""
    rng = np.random.default_rng(3)
    came, noise = rng.normal(size=(2, 5000))
    moves = np.stack([0 * came, 0.05 * noise, 0.05 * noise, 0.1 * noise], axis=1)
    told, weights = mixed(moves, came)
    assert (told[:30] == 0.0).all()
    assert (told == 0.0).mean() > 0.9
    assert np.square(told - came).mean() < 1.002 * np.square(came).mean()
    assert weights.tolist() == [1.0, 0.0, 0.0, 0.0]


def test_an_expert_that_fails_loses_its_say() -> None:
    """Good for long, then wrong by sign: in the 400 steps after, hardly worse than persistence."""
    rng = np.random.default_rng(4)
    came = rng.normal(size=2400)
    sign = np.where(np.arange(2400) < 2000, 1.0, -1.0)
    moves = np.stack([0 * came, 0.7 * came * sign, 0.7 * came * sign, 0 * came], axis=1)
    told, _ = mixed(moves, came)
    assert np.square(told - came)[2000:].mean() < 2.0 * np.square(came)[2000:].mean()
    assert (told[2200:] == 0.0).all()


def test_nothing_that_came_leaves_it_unfit_to_go_on() -> None:
    """A move of 1e150 and one of 1e-200 in one life."""
    came = np.random.default_rng(5).normal(size=400)
    moves = np.stack([0 * came, came, came, came], axis=1)
    came[100], moves[101, 1], came[102] = 1e150, -1e200, 1e-200
    told, weights = mixed(moves, came)
    assert np.isfinite(told).all()
    assert np.isfinite(weights).all()


def test_a_row_without_a_due_error_stays_as_it_is() -> None:
    """To the bit, also at the moment at which the next error would open the gate: who travels along must not bear."""
    rng = np.random.default_rng(6)
    state = np.repeat(mixture.BEGIN[:, None, None], 2, axis=1)
    for _ in range(60):
        before, came = state.copy(), rng.normal(size=(2, 1))
        moves = np.stack([0 * came, 0.9 * came, 0.9 * came, 0.9 * came], axis=0)
        mixture.learn(state, moves * [[1.0], [0.0]], came * [[1.0], [0.0]], np.array([[True], [False]]), ONE)
        assert state[:, 1].tobytes() == before[:, 1].tobytes()
        mixture.learn(state, moves, came, np.ones((2, 1), bool), ONE)
    assert mixture.weights(state, np.zeros((2, 1), bool), ONE)[0, 0, 0] < 1.0


def test_a_network_in_force_leads_until_there_are_errors_to_judge_by() -> None:
    """It has proven itself elsewhere; from then on the gate decides, and where no network is, persistence begins."""
    state = mixture.BEGIN[:, None, None].copy()
    there = np.ones((1, 1), bool)
    assert mixture.weights(state, there, ONE)[:, 0, 0].tolist() == [0.0, 0.0, 0.0, 1.0]
    assert mixture.weights(state, NOBODY, ONE)[:, 0, 0].tolist() == [1.0, 0.0, 0.0, 0.0]
    for _ in range(mixture.PROVEN):
        mixture.learn(state, np.array([0.0, 1.0, 1.0, 1.0])[:, None, None], -np.ones((1, 1)), there, ONE)
    assert mixture.weights(state, there, ONE)[:, 0, 0].tolist() == [1.0, 0.0, 0.0, 0.0]


def test_what_is_known_to_come_back_is_believed_before_there_is_proof() -> None:
    """As long as it is known, and what was said has not been far worse than the last value; with proof, errors say."""
    overlap, moves = np.array([16]), np.array([0.0, 0.0, 1.0, 1.0])[:, None, None].repeat(3, axis=1)
    state = np.repeat(mixture.BEGIN_FAR[:, None, None], 3, axis=1)
    settled, all_due = np.array([[True], [False], [True]]), np.ones((3, 1), bool)
    came = np.array([[1.0], [1.0], [-0.2]])

    def shares() -> list[float]:
        found: list[float] = mixture.weights(state, np.zeros((3, 1), bool), overlap)[0, :, 0].round(1).tolist()
        return found

    assert shares() == [1.0, 1.0, 1.0]
    mixture.believe(state, settled, overlap)
    assert shares() == [0.0, 1.0, 0.0]
    mixture.learn(state, moves, came, all_due, overlap, far=all_due[0])
    mixture.believe(state, settled, overlap)
    assert shares() == [0.0, 1.0, 1.0]
    mixture.believe(state, ~settled, overlap)
    assert shares() == [1.0, 0.0, 1.0]
    while state[mixture.SEEN, 0, 0] <= mixture.proof(overlap)[0] + 1:
        mixture.learn(state, moves, came, all_due, overlap, far=all_due[0])
    for known in (settled, ~settled):
        mixture.believe(state, known, overlap)
        assert shares() == [0.0, 0.0, 1.0]


@pytest.mark.parametrize(("believed", "after_one"), [(True, (0.5, 0.7)), (False, (0.7, 0.9))])
def test_who_is_believed_without_proof_is_not_changed_by_the_first_errors(
    believed: bool, after_one: tuple[float, float]
) -> None:
    """Sixteen overlapping errors are one span: of two, the better one gets little more; after fifty, most."""
    overlap, due = np.array([16]), np.ones((1, 1), bool)
    state = mixture.BEGIN_FAR[:, None, None].copy()
    shares = []
    for _ in range(50):
        for _ in range(int(overlap[0])):
            mixture.believe(state, due & believed, overlap)
            mixture.learn(state, np.array([0.0, 0.0, 0.5, 1.0])[:, None, None], due * 1.0, due, overlap, far=due[0])
        shares.append(float(state[3, 0, 0]))
    assert after_one[0] < shares[0] < after_one[1]
    assert shares[-1] > 0.85


@pytest.mark.parametrize(("overlap", "opens_after"), [(1, 31), (16, 400)])
def test_a_small_lead_is_enough_at_the_next_step_and_waits_for_many_spans_beyond(
    overlap: int, opens_after: int
) -> None:
    """A tenth less error: of spans that overlap the first few say nothing."""
    waiting, due = np.array([overlap]), np.ones((1, 1), bool)
    state = mixture.BEGIN[:, None, None].copy()
    moves = np.array([0.0, 0.05, 0.05, 0.05])[:, None, None]
    shut = 0
    while mixture.weights(state, ~due, waiting)[0, 0, 0] == 1.0:
        mixture.learn(state, moves, due * 1.0, due, waiting)
        shut += 1
        assert shut < 5000
    assert opens_after <= shut < 4 * opens_after


def test_a_lead_from_before_it_opened_does_not_let_it_lose_for_long() -> None:
    """What was said while the gate was shut helped nobody: wrong in all it publishes, it shuts within two spans."""
    overlap, due = np.array([16]), np.ones((1, 1), bool)
    right, wrong = (np.array([0.0, move, move, move])[:, None, None] for move in (1.0, -0.5))
    state = mixture.BEGIN[:, None, None].copy()

    def learn(moves: Float64, published: float) -> float:
        mixture.learn(state, moves, due * 1.0, due, overlap, published=np.full((1, 1), published))
        return float(mixture.weights(state, ~due, overlap)[0, 0, 0])

    while learn(right, 0.0) == 1.0:
        pass
    for _ in range(int(overlap[0])):  # those on their way had been made while it was shut
        learn(right, 0.0)
    assert [learn(wrong, -0.5) for _ in range(32)][-1] == 1.0
