"""The tanks: deterministic, physical, and forecastable beyond persistence."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gaugecast_sim.publish import next_tick_ns, tank_samples
from gaugecast_sim.tanks import ATMOSPHERE_BAR, KELVIN, SUBSTEP_S, WATER_HEAT, Plant

START_NS = 1_700_000_000_000_000_000
SECOND_NS = 10**9


def watch(plant: Plant, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Pressure and temperature (steps, 2, tanks), and whether the heaters were on (steps, tanks)."""
    seen, heaters = [], []
    for step in range(steps):
        observed = plant.step(START_NS + step * SECOND_NS)
        seen.append((observed.pressure, observed.temperature))
        heaters.append(plant.truth.heater)
    return np.array(seen), np.array(heaters)


def test_the_same_seed_gives_the_same_values_to_the_bit() -> None:
    """Two plants of one seed agree; another seed does not."""
    first, second, other = (watch(Plant(seed, 4), 50)[0] for seed in (7, 7, 8))
    assert first.tobytes() == second.tobytes()
    assert first.tobytes() != other.tobytes()


def test_values_are_those_of_a_boiler_and_finite_for_a_day_of_minutes() -> None:
    """Pressure stays within the switch's range, temperature about its set-points, level within the vessel."""
    plant = Plant(3, 20)
    seen, _ = watch(plant, 1440)
    assert np.isfinite(seen).all()
    assert 1.6 < seen[:, 0].min() < seen[:, 0].max() < 3.7
    assert 45 < seen[:, 1].min() < seen[:, 1].max() < 80
    assert ((plant.truth.level > 0.2) & (plant.truth.level < 0.8)).all()


def test_a_heater_cycle_takes_some_tens_of_steps() -> None:
    """At a minute of plant time a step, each heater comes on every 15 to 40 steps."""
    _, heaters = watch(Plant(5, 20), 1000)
    starts = (heaters[1:] & ~heaters[:-1]).sum(axis=0)
    assert (1000 / starts > 15).all()
    assert (1000 / starts < 40).all()


def test_the_time_scale_and_the_period_make_the_cycle_together() -> None:
    """Half the period at twice the scale is the same physics a step."""
    slow, fast = Plant(9, 3, 1.0, time_scale=60.0), Plant(9, 3, 0.5, time_scale=120.0)
    for step in range(40):
        at_ns = step * SECOND_NS
        one, two = slow.step(at_ns), fast.step(at_ns // 2)
    np.testing.assert_array_equal(one.pressure, two.pressure)
    np.testing.assert_array_equal(one.temperature, two.temperature)


@pytest.mark.parametrize("feature", [0, 1])
def test_three_differences_forecast_much_better_than_persistence(feature: int) -> None:
    """A linear forecast from the last three differences, fitted on the first half, has skill on the second."""
    series = watch(Plant(11, 8), 1200)[0][:, feature]
    steps = np.diff(series, axis=0)
    lags = np.stack([steps[2:-1], steps[1:-2], steps[:-3]], axis=-1)
    target = steps[3:]
    half = len(target) // 2
    for tank in range(8):
        weights = np.linalg.lstsq(lags[:half, tank], target[:half, tank], rcond=None)[0]
        error = target[half:, tank] - lags[half:, tank] @ weights
        assert 1 - (error**2).sum() / (target[half:, tank] ** 2).sum() > 0.3


def test_energy_is_kept_over_one_small_step() -> None:
    """Heater on, pump off: the water takes up 48 to 60 W per kg of capacity, less losses of at most 13 W per kg."""
    plant = Plant(2, 30, SUBSTEP_S, time_scale=1.0)
    before = plant.truth
    plant.step(START_NS)
    heated = before.heater & ~before.pump
    rise_k = (plant.truth.temperature - before.temperature)[heated]
    taken_w_per_kg = rise_k / SUBSTEP_S * before.level[heated] * WATER_HEAT
    assert ((taken_w_per_kg > 48 - 13) & (taken_w_per_kg < 60)).all()
    assert heated.sum() > 3


def test_gas_law_binds_pressure_to_level_and_temperature() -> None:
    """(p + p_atm) · (1 − level) / T is the same at all times, tank by tank."""
    plant = Plant(4, 5)
    amounts = []
    for step in range(30):
        plant.step(START_NS + step * SECOND_NS)
        now = plant.truth
        amounts.append((now.pressure + ATMOSPHERE_BAR) * (1 - now.level) / (now.temperature + KELVIN))
    np.testing.assert_allclose(np.array(amounts), np.tile(amounts[0], (30, 1)), rtol=1e-12)


@settings(max_examples=12, deadline=None)
@given(gaps=st.lists(st.integers(0, 10**15), min_size=1, max_size=5), seed=st.integers(0, 99))
def test_any_silence_is_survived(gaps: list[int], seed: int) -> None:
    """However long nobody asked, the next values are finite and physical, and the work is bounded."""
    plant, at_ns = Plant(seed, 2), START_NS
    for gap in gaps:
        at_ns += gap
        observed = plant.step(at_ns)
        assert np.isfinite(observed).all()
        assert (observed.temperature < 100).all()


def test_going_back_in_time_is_refused() -> None:
    """Physics does not run backwards."""
    plant = Plant(1, 1)
    plant.step(START_NS)
    with pytest.raises(ValueError, match="not before"):
        plant.step(START_NS - 1)


def test_samples_are_json_with_time_or_bare_numbers_by_topic() -> None:
    """Both layouts carry the same values."""
    joined = list(tank_samples(Plant(1, 2), START_NS, site="north", steps=2))
    apart = list(tank_samples(Plant(1, 2), START_NS, layout="separate", steps=2))
    assert [s.topic for s in joined[:2]] == ["plant/north/tank-01/telemetry", "plant/north/tank-02/telemetry"]
    assert joined[0].payload.startswith(b'{"t": 1700000000.000, "pressure": ')
    assert joined[2].payload.startswith(b'{"t": 1700000001.000, ')
    assert [s.topic for s in apart[:2]] == ["plant/tank-01/pressure", "plant/tank-01/temperature"]
    assert b'"pressure": ' + apart[0].payload + b", " in joined[0].payload
    assert [s.at_ns for s in apart] == [START_NS] * 4 + [START_NS + SECOND_NS] * 4


def test_the_first_tick_is_a_multiple_of_the_period_after_now() -> None:
    """Event times fall on ticks."""
    assert next_tick_ns(START_NS, 1.0) == START_NS + SECOND_NS
    assert next_tick_ns(START_NS + 1, 0.5) == START_NS + SECOND_NS // 2
