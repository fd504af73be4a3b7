"""Coupled physics of heated pressure tanks (hydrophores), seeded and deterministic.

Each tank holds water of mass m = ρ·V·level (kg) under an air cushion. With draw-off q_out, pump q_in (kg/s):

    level        V·ρ · d level/dt = q_in − q_out
    temperature  m·c · dT/dt = P·heater − U·(T − T_ambient) − q_in·c·(T − T_inlet)
    pressure     p + p_atm = k · (T + 273.15) / (1 − level)                    (ideal gas, constant amount of air)
    heater       on below T_set − b, off above T_set + b                       (hysteresis, two-point controller)
    pump         on below p_on, off above p_off                                (pressure switch)
    q_out        q_mean · day(hour) · exp(z),  z an Ornstein-Uhlenbeck process (τ = 10 min)
    ambient      T_mean + A · cos(2π (hour − 15) / 24)

Integrated by explicit Euler in steps of at most `SUBSTEP_S` of plant time. Sensors add white noise and round to
their last digit. Why the values can be forecast beyond persistence: within a phase of heater or pump both quantities
ramp, so the last difference tells the next one, and where a ramp turns follows from the switches' fixed thresholds.
At 60 s of plant time a step, heater and pump cycles take some 20 to 40 steps.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Float64 = npt.NDArray[np.float64]
Bool = npt.NDArray[np.bool_]

SUBSTEP_S = 10.0
MAX_SUBSTEPS = 8640  # one day of plant time: after a longer silence the physics goes on from one day later
DAY_S = 86_400.0
WATER_HEAT = 4186.0  # J/(kg K)
ATMOSPHERE_BAR = 1.013
KELVIN = 273.15
DRAW_TAU_S = 600.0
DRAW_SIGMA = 0.25
INLET_C = 32.0
PRESSURE_NOISE_BAR = 0.004
TEMPERATURE_NOISE_K = 0.04
LEVEL_NOISE = 0.002


class Observation(NamedTuple):
    """What the sensors of all tanks say at one instant; each float64 of shape (tanks,).

    Attributes:
        pressure: bar above atmosphere, three decimals.
        temperature: °C, two decimals.
        level: Share of the vessel filled with water, 0 to 1, three decimals.
    """

    pressure: Float64
    temperature: Float64
    level: Float64


class Truth(NamedTuple):
    """The noiseless state behind an observation; arrays of shape (tanks,)."""

    pressure: Float64
    temperature: Float64
    level: Float64
    heater: Bool
    pump: Bool


def tank_names(tanks: int) -> tuple[str, ...]:
    """Names of the tanks, `tank-01` and on: fixed width, so that they sort as they count."""
    width = max(2, len(str(tanks)))
    return tuple(f"tank-{number:0{width}d}" for number in range(1, tanks + 1))


class Plant:
    """Some tanks of one site, stepped together. Owned by one thread.

    The same seed, tanks, period, scale and sequence of instants give the same values, bit for bit on one NumPy version.

    Args:
        seed: Of the tanks' sizes, of draw-off and of sensor noise.
        tanks: How many.
        period_s: Wall time between two steps; the first step covers one period.
        time_scale: Seconds of plant time for a second of wall time. Cycle length in steps depends on
            `period_s * time_scale` alone; at 60 a cycle takes some 20 to 40 steps.
    """

    def __init__(self, seed: int, tanks: int, period_s: float = 1.0, *, time_scale: float = 60.0) -> None:
        if tanks < 1 or period_s <= 0 or time_scale <= 0:
            raise ValueError(
                f"expected tanks >= 1, period_s > 0, time_scale > 0; got {tanks}, {period_s}, {time_scale}"
            )
        self.names = tank_names(tanks)
        self.period_s = period_s
        self.time_scale = time_scale
        self._last_ns: int | None = None
        self._rng = np.random.default_rng(seed)
        self._draw_tanks(tanks)

    def _draw_tanks(self, tanks: int) -> None:
        """Sizes and set-points of each tank, and a state somewhere within its cycle."""
        uniform = self._rng.uniform
        self._capacity_kg = uniform(600.0, 1000.0, tanks)
        self._power_w = uniform(48.0, 60.0, tanks) * self._capacity_kg
        self._loss_w_per_k = uniform(60.0, 140.0, tanks)
        self._setpoint_c = uniform(55.0, 70.0, tanks)
        self._band_k = uniform(2.5, 4.0, tanks)
        self._draw_kg_s = uniform(1.3e-4, 2.0e-4, tanks) * self._capacity_kg
        self._pump_kg_s = uniform(2.2, 3.0, tanks) * self._draw_kg_s
        self._pump_on_bar = uniform(1.8, 2.4, tanks)
        self._pump_off_bar = self._pump_on_bar + uniform(0.7, 1.1, tanks)
        level_on = uniform(0.40, 0.45, tanks)
        self._gas = (self._pump_on_bar + ATMOSPHERE_BAR) * (1.0 - level_on) / (self._setpoint_c + KELVIN)
        self._level = level_on + uniform(0.02, 0.10, tanks)
        self._temperature_c = self._setpoint_c + uniform(-1.0, 1.0, tanks) * self._band_k
        self._heater = uniform(size=tanks) < 0.5
        self._pump = uniform(size=tanks) < 0.4
        self._draw_z = DRAW_SIGMA * self._rng.standard_normal(tanks)

    @property
    def truth(self) -> Truth:
        """The state as it is, without noise or rounding."""
        return Truth(
            self._pressure(), self._temperature_c.copy(), self._level.copy(), self._heater.copy(), self._pump.copy()
        )

    @property
    def setpoint_c(self) -> Float64:
        """What each heater holds, °C; may be changed in place, as somebody at the plant does."""
        return self._setpoint_c

    def step(self, at_ns: int) -> Observation:
        """Let the physics run up to `at_ns` (Unix ns UTC) and read the sensors.

        Raises:
            ValueError: `at_ns` lies before the last step.
        """
        wall_s = self.period_s if self._last_ns is None else (at_ns - self._last_ns) / 1e9
        if wall_s < 0:
            raise ValueError(f"expected an instant not before {self._last_ns}, got {at_ns}")
        self._last_ns = at_ns
        plant_s = min(wall_s * self.time_scale, MAX_SUBSTEPS * SUBSTEP_S)
        substeps = max(1, int(np.ceil(plant_s / SUBSTEP_S - 1e-9)))
        clock_s = at_ns / 1e9 * self.time_scale
        for left in range(substeps, 0, -1):
            self._advance(plant_s / substeps, clock_s - left * plant_s / substeps)
        return self._observe()

    def _advance(self, dt_s: float, clock_s: float) -> None:
        """One Euler step of `dt_s` seconds, beginning at `clock_s` seconds of plant time."""
        hour = clock_s % DAY_S / 3600.0
        ambient_c = 18.0 + 5.0 * np.cos(2 * np.pi * (hour - 15.0) / 24.0)
        day = 1.0 + 0.30 * np.cos(4 * np.pi * (hour - 7.5) / 24.0)  # peaks at 7:30 and 19:30
        kick = DRAW_SIGMA * np.sqrt(2 * dt_s / DRAW_TAU_S)
        self._draw_z += -self._draw_z * dt_s / DRAW_TAU_S + kick * self._rng.standard_normal(self._draw_z.size)
        out_kg_s = self._draw_kg_s * day * np.exp(np.clip(self._draw_z, -1.5, 1.0))
        in_kg_s = self._pump_kg_s * self._pump
        heat_w = (
            self._power_w * self._heater
            - self._loss_w_per_k * (self._temperature_c - ambient_c)
            - in_kg_s * WATER_HEAT * (self._temperature_c - INLET_C)
        )
        self._temperature_c += dt_s * heat_w / (self._capacity_kg * self._level * WATER_HEAT)
        self._level += dt_s * (in_kg_s - out_kg_s) / self._capacity_kg
        np.clip(self._level, 0.05, 0.95, out=self._level)
        self._switch()

    def _switch(self) -> None:
        """Two-point controllers of heater and pump."""
        self._heater &= self._temperature_c < self._setpoint_c + self._band_k
        self._heater |= self._temperature_c < self._setpoint_c - self._band_k
        pressure = self._pressure()
        self._pump &= pressure < self._pump_off_bar
        self._pump |= pressure < self._pump_on_bar

    def _pressure(self) -> Float64:
        """Gauge pressure (bar) of the air cushion."""
        absolute: Float64 = self._gas * (self._temperature_c + KELVIN) / (1.0 - self._level)
        return absolute - ATMOSPHERE_BAR

    def _observe(self) -> Observation:
        """The state with sensor noise, rounded to the sensors' last digit."""
        noise = self._rng.standard_normal((3, len(self.names)))
        return Observation(
            np.round(self._pressure() + PRESSURE_NOISE_BAR * noise[0], 3),
            np.round(self._temperature_c + TEMPERATURE_NOISE_K * noise[1], 2),
            np.round(self._level + LEVEL_NOISE * noise[2], 3),
        )
