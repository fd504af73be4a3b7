"""What a daemon's metrics look like when all is well, and what makes each alert fire: promtool's series notation.

One step is a minute. `A+BxN` is A, A+B, …, N more times; `AxN` is A, N more times; `_xN` is N times nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from gaugecast.status import VERBS

TARGET = 'job="gaugecast",instance="edge:9464"'
FLEET = f'{TARGET},fleet="tanks"'
INTERVAL = f'{FLEET},feature="pressure",horizon="1m",level="0.8"'
SEVERITY = f'{FLEET},severity="critical"'
THRESHOLD = f'{FLEET},feature="pressure",side="above",value="8.2"'
MINUTES = 480


def constant(value: float) -> str:
    """The same value all the time."""
    return f"{float(value):g}x{MINUTES}"


def growing(by: float) -> str:
    """A counter that grows by so much a minute."""
    return f"0+{by}x{MINUTES}"


def histogram(name: str, per_minute: float, upper: tuple[str, ...], within: int) -> dict[str, str]:
    """Buckets of a histogram all of whose values lie in bucket number `within`."""
    counts = {bound: growing(per_minute if i >= within else 0) for i, bound in enumerate(upper)}
    return {f'{name}_bucket{{{TARGET},le="{bound}"}}': series for bound, series in counts.items()}


LATENCY = ("0.01", "0.5", "5.0", "+Inf")
COMMIT = ("0.005", "0.5", "1.0", "+Inf")

#: A daemon with one fleet of ten streams, one reading a second each, and a learner.
HEALTHY: dict[str, str] = {
    f"up{{{TARGET}}}": constant(1),
    f"process_start_time_seconds{{{TARGET}}}": constant(1000),
    f"gaugecast_ready{{{TARGET}}}": constant(1),
    **{f'gaugecast_doing{{{TARGET},verb="{verb}"}}': constant(verb == "forecasting") for verb in VERBS},
    f"gaugecast_recovered_ratio{{{TARGET}}}": constant(1),
    f"gaugecast_clock_seconds{{{TARGET}}}": growing(60),
    f"gaugecast_last_round_age_seconds{{{TARGET}}}": constant(0.1),
    f"gaugecast_mqtt_connected{{{TARGET}}}": constant(1),
    **{f'gaugecast_mqtt_side_connected{{{TARGET},side="{side}"}}': constant(1) for side in ("subscribe", "publish")},
    f"gaugecast_mqtt_reconnects_total{{{TARGET}}}": constant(0),
    f"gaugecast_mqtt_session_lost_total{{{TARGET}}}": constant(0),
    f"gaugecast_broker_messages_dropped_total{{{TARGET}}}": constant(0),
    f"gaugecast_readings_received_total{{{FLEET}}}": growing(600),
    f'gaugecast_readings_total{{{FLEET},outcome="stepped"}}': growing(594),
    f'gaugecast_readings_total{{{FLEET},outcome="rejected"}}': growing(6),
    f'gaugecast_readings_total{{{FLEET},outcome="late"}}': growing(6),
    f'gaugecast_rejects_total{{{TARGET},reason="far_future"}}': constant(0),
    f'gaugecast_rejects_total{{{TARGET},reason="out_of_range"}}': growing(6),
    f'gaugecast_rejects_total{{{TARGET},reason="poison"}}': constant(0),
    f'gaugecast_rejects_total{{{TARGET},reason="too_many_streams"}}': constant(0),
    f"gaugecast_forecasts_total{{{FLEET}}}": growing(594),
    f"gaugecast_fallback_steps_total{{{FLEET}}}": growing(10),
    f"gaugecast_broken_states_total{{{FLEET}}}": constant(0),
    f'gaugecast_streams{{{FLEET},state="active"}}': constant(10),
    f'gaugecast_streams{{{FLEET},state="stale"}}': constant(0),
    f'gaugecast_skill{{{FLEET},feature="pressure"}}': constant(0.6),
    f"gaugecast_interval_coverage_ratio{{{INTERVAL}}}": constant(0.79),
    f"gaugecast_interval_nominal_ratio{{{INTERVAL}}}": constant(0.8),
    f"gaugecast_crossings_open{{{THRESHOLD}}}": constant(0),
    f"gaugecast_anomalies_open{{{SEVERITY}}}": constant(0),
    f'gaugecast_anomalies_open{{{FLEET},severity="silenced"}}': constant(3),
    f'gaugecast_model_in_force{{{FLEET},version="v1"}}': constant(1),
    f'gaugecast_degraded{{{TARGET},reason="storage_full"}}': constant(0),
    f'gaugecast_degraded{{{TARGET},reason="damaged"}}': constant(0),
    f"gaugecast_unconfirmed_outputs{{{TARGET}}}": constant(3),
    f"gaugecast_outputs_refused_total{{{TARGET}}}": constant(0),
    f"gaugecast_checkpoint_failures_total{{{TARGET}}}": constant(0),
    f"gaugecast_wal_copy_failures_total{{{TARGET}}}": constant(0),
    f"gaugecast_checkpoint_age_seconds{{{TARGET}}}": "0+60x59 " * 8,
    f"gaugecast_backup_age_seconds{{{TARGET}}}": constant(3600),
    f"gaugecast_disk_free_bytes{{{TARGET}}}": f"50000000000-1000000x{MINUTES}",
    f"gaugecast_learner_failures_total{{{FLEET}}}": f"0x120 1x{MINUTES - 121}",
    f"gaugecast_learner_updates_total{{{FLEET}}}": growing(5),
    f"gaugecast_learner_lag_seconds{{{FLEET}}}": constant(4),
    f'gaugecast_learning{{{TARGET},mode="child"}}': constant(1),
    f'gaugecast_learning{{{TARGET},mode="unit"}}': constant(0),
    f"gaugecast_learner_heard{{{TARGET}}}": constant(1),
    f"gaugecast_trial_ratio{{{FLEET}}}": "0+0.2x5 " + "_x470",
    f"gaugecast_rollbacks_total{{{FLEET}}}": constant(0),
    **histogram("gaugecast_end_to_end_seconds", 594, LATENCY, 0),
    **histogram("gaugecast_commit_seconds", 60, COMMIT, 0),
}


def _named(name: str, series: str, labels: str = TARGET) -> dict[str, str]:
    return {f"{name}{{{labels}}}": series}


@dataclass(frozen=True, slots=True)
class Case:
    """What differs from a healthy daemon, and when the alert must fire.

    Attributes:
        fires: Minute at which it is firing.
        silent: Minute at which it is not yet; the trouble has begun by then where the alert waits.
        without: Series that a healthy daemon has and this one has not.
    """

    series: dict[str, str]
    fires: int
    silent: int
    without: tuple[str, ...] = ()


CASES: dict[str, Case] = {
    "GaugecastDown": Case(_named("up", "1x10 0x100"), 15, 12),
    "GaugecastMissing": Case({}, 12, 5, (f"up{{{TARGET}}}",)),
    "GaugecastStuck": Case(_named("gaugecast_last_round_age_seconds", "0.1x10 10+60x50"), 14, 11),
    "GaugecastRecoveryLong": Case(_named("gaugecast_recovered_ratio", "1x10 0.4x100"), 28, 24),
    "GaugecastHolding": Case(_named("gaugecast_doing", "0x10 1x100", f'{TARGET},verb="holding"'), 14, 12),
    "GaugecastDeaf": Case(_named("gaugecast_doing", "0x10 1x100", f'{TARGET},verb="deaf"'), 14, 12),
    "GaugecastMute": Case(_named("gaugecast_doing", "0x10 1x100", f'{TARGET},verb="mute"'), 14, 12),
    "GaugecastRestartsOften": Case(
        _named("process_start_time_seconds", "1000x10 1660x2 1840x2 2020x2 2200x2 2380x100"), 20, 14
    ),
    "GaugecastBrokerLost": Case(_named("gaugecast_mqtt_connected", "1x10 0x100"), 14, 12),
    "GaugecastBrokerFlapping": Case(_named("gaugecast_mqtt_reconnects_total", "0x10 0+1x20 20x100"), 20, 14),
    "GaugecastSessionLost": Case(_named("gaugecast_mqtt_session_lost_total", "0x10 1x100"), 12, 9),
    "GaugecastBrokerDropping": Case(
        {
            **_named("gaugecast_broker_messages_dropped_total", "0x10 500x100"),
            **_named("gaugecast_mqtt_reconnects_total", "0x10 1x100"),
        },
        12,
        9,
    ),
    "GaugecastReadingsLate": Case(
        _named("gaugecast_readings_total", "0x10 0+60x100", f'{FLEET},outcome="late"'), 28, 18
    ),
    "GaugecastSensorClock": Case(
        _named("gaugecast_rejects_total", "0x10 0+5x100", f'{TARGET},reason="far_future"'), 28, 22
    ),
    "GaugecastClockSkew": Case(_named("gaugecast_clock_seconds", "0+60x10 3600+60x100"), 24, 19),
    "GaugecastStreamSilent": Case(_named("gaugecast_streams", "0x10 1x100", f'{FLEET},state="stale"'), 28, 20),
    "GaugecastSkillGone": Case(_named("gaugecast_skill", "0.6x80 0x300", f'{FLEET},feature="pressure"'), 150, 130),
    "GaugecastIntervalsOff": Case(_named("gaugecast_interval_coverage_ratio", "0.5x470", INTERVAL), 365, 350),
    "GaugecastCrossing": Case(_named("gaugecast_crossings_open", "0x10 2x100", THRESHOLD), 12, 9),
    "GaugecastAnomaly": Case(_named("gaugecast_anomalies_open", "0x10 2x100", SEVERITY), 12, 9),
    "GaugecastModelRolledBack": Case(_named("gaugecast_rollbacks_total", "0x10 1x100", FLEET), 12, 9),
    "GaugecastBackupOld": Case(_named("gaugecast_backup_age_seconds", "600000+60x400"), 200, 90),
    "GaugecastLearnerMissing": Case(
        {
            **_named("gaugecast_learning", "1x400", f'{TARGET},mode="unit"'),
            **_named("gaugecast_learner_heard", "0x400"),
        },
        65,
        55,
    ),
    "GaugecastLearningStuck": Case(
        {
            **_named("gaugecast_model_in_force", "1x1400", f'{FLEET},version="persistence"'),
            **_named("gaugecast_learning", "1x1400", f'{TARGET},mode="child"'),
            **_named("gaugecast_readings_received_total", "0+600x1400", FLEET),
        },
        760,
        700,
        (f"gaugecast_learner_updates_total{{{FLEET}}}",),
    ),
    "GaugecastTrialLong": Case(_named("gaugecast_trial_ratio", "0+0.1x9 12x600", FLEET), 400, 360),
    "GaugecastRejectsRising": Case(
        _named("gaugecast_readings_total", "0x10 0+60x100", f'{FLEET},outcome="rejected"'), 28, 18
    ),
    "GaugecastStreamsCapped": Case(
        _named("gaugecast_rejects_total", "0x10 5x100", f'{TARGET},reason="too_many_streams"'), 12, 9
    ),
    "GaugecastPoison": Case(_named("gaugecast_rejects_total", "0x10 1x100", f'{TARGET},reason="poison"'), 12, 9),
    "GaugecastStreamsStale": Case(_named("gaugecast_streams", "0x10 4x100", f'{FLEET},state="stale"'), 28, 20),
    "GaugecastSkillLost": Case(_named("gaugecast_skill", "0.6x10 -0.4x100", f'{FLEET},feature="pressure"'), 45, 35),
    "GaugecastFallback": Case(_named("gaugecast_fallback_steps_total", "0x10 0+500x200", FLEET), 80, 60),
    "GaugecastStateBroken": Case(_named("gaugecast_broken_states_total", "0x10 2x100", FLEET), 12, 9),
    "GaugecastDegraded": Case(_named("gaugecast_degraded", "0x10 1x100", f'{TARGET},reason="storage_full"'), 17, 14),
    "GaugecastLagging": Case(_named("gaugecast_unconfirmed_outputs", "3x10 20000x100"), 17, 14),
    "GaugecastOutputsRefused": Case(_named("gaugecast_outputs_refused_total", "0x10 7x100"), 12, 9),
    "GaugecastLatencyHigh": Case(histogram("gaugecast_end_to_end_seconds", 594, LATENCY, 2), 15, 8),
    "GaugecastCommitSlow": Case(histogram("gaugecast_commit_seconds", 60, COMMIT, 2), 15, 8),
    "GaugecastCheckpointFailing": Case(_named("gaugecast_checkpoint_failures_total", "0x10 1x100"), 12, 9),
    "GaugecastCheckpointOld": Case(_named("gaugecast_checkpoint_age_seconds", "0+60x300"), 140, 125),
    "GaugecastWalFailing": Case(_named("gaugecast_wal_copy_failures_total", "0x10 0+60x100"), 20, 14),
    "GaugecastLedgerDamaged": Case(_named("gaugecast_degraded", "0x10 1x100", f'{TARGET},reason="damaged"'), 12, 9),
    "GaugecastDiskLow": Case(_named("gaugecast_disk_free_bytes", "2e9x10 5e8x100"), 17, 14),
    "GaugecastDiskFilling": Case(_named("gaugecast_disk_free_bytes", f"15000000000-20000000x{MINUTES}"), 70, 40),
    "GaugecastLearnerFailing": Case(
        {
            **_named("gaugecast_learner_failures_total", "0x10 0+1x100", FLEET),
            **_named("gaugecast_learner_updates_total", "0+5x10 50x100", FLEET),
        },
        60,
        30,
    ),
    "GaugecastLearnerBehind": Case(_named("gaugecast_learner_lag_seconds", "4x10 2000x100", FLEET), 45, 35),
}


def _stopping(series: str, at: int, minutes: int) -> str:
    """A counter's series that stands still for some minutes."""
    step = series.split("+")[1].split("x")[0] if "+" in series else "0"
    value = float(step) * at
    return f"0+{step}x{at - 1} {value}x{minutes - 1} {value}+{step}x{MINUTES - at - minutes}"


def _restarted(name: str, series: str, at: int) -> str:
    """A series of a daemon that is away for a minute and begins anew."""
    if name.startswith("up{"):
        return f"1x{at - 1} 0 1x{MINUTES - at}"
    if "clock_seconds" in name:
        return f"0+60x{at - 1} _ {60 * (at + 1)}+60x{MINUTES - at}"
    if name.startswith("process_start"):
        return f"1000x{at - 1} _ {1000 + 60 * at}x{MINUTES - at}"
    if "trial_ratio" in name:
        return series
    if "_total" in name or "_bucket" in name:
        step = series.split("+")[1].split("x")[0] if series.startswith("0+") else "0"
        return f"0+{step}x{at - 1} _ 0+{step}x{MINUTES - at}"
    if "age_seconds" in name and "checkpoint" in name:
        return f"0+60x{at - 1} _ 0+60x58 " + "0+60x59 " * 6
    value = series.split("x")[0].split("-")[0] if not series.startswith("-") else series.split("x")[0]
    return f"{value}x{at - 1} _ {value}x{MINUTES - at}"


def _grows(name: str) -> bool:
    return any(part in name for part in ("readings", "rejects", "forecasts", "fallback", "_bucket"))


#: Daemons on which every alert must stay silent all the time.
QUIET: dict[str, dict[str, str]] = {
    "healthy": HEALTHY,
    "quiet: connected, and no sensor has ever spoken": {
        **{name: constant(0) if _grows(name) else series for name, series in HEALTHY.items() if "skill" not in name},
        f'gaugecast_streams{{{FLEET},state="active"}}': constant(0),
        f'gaugecast_model_in_force{{{FLEET},version="persistence"}}': constant(1),
    },
    "paused: the plant stands still for ten minutes": {
        **{name: _stopping(series, 100, 10) if _grows(name) else series for name, series in HEALTHY.items()},
        f'gaugecast_streams{{{FLEET},state="stale"}}': f"0x99 10x9 0x{MINUTES - 110}",
    },
    "stopped: the process is held for a minute and goes on": {
        name: f"1x99 0 1x{MINUTES - 101}" if name.startswith("up{") else series for name, series in HEALTHY.items()
    },
    "others' losses: the broker drops what other clients were to have": {
        **HEALTHY,
        f"gaugecast_broker_messages_dropped_total{{{TARGET}}}": growing(20),
    },
    "no sensor but one that is always silent": {
        **HEALTHY,
        f'gaugecast_streams{{{FLEET},state="stale"}}': f"1x9 0x{MINUTES - 10}",
    },
    "restarting: away for a minute, once": {
        name: _restarted(name, series, 30) for name, series in HEALTHY.items() if "disk_free" not in name
    },
}
