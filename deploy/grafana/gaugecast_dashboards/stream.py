"""*Stream*: one sensor, what it said, what had been expected, and how far to trust it."""

from __future__ import annotations

from gaugecast_dashboards.fleet import INSTANCES, SKILL_STEPS
from gaugecast_dashboards.parts import (
    BAD,
    FORECAST,
    GOOD,
    OBSERVED,
    RESIDUAL,
    UNSURE,
    Page,
    Panel,
    Query,
    Row,
    Style,
    Variable,
    stat,
)

STREAM = 'job="gaugecast", instance=~"$instance", fleet="$fleet", stream="$stream"'
FEATURE = f'{STREAM}, feature="$feature"'
ANY_FEATURE = 'job="gaugecast", instance=~"$instance", fleet="$fleet"'
OF_FLEET = f'{ANY_FEATURE}, feature="$feature"'

VARIABLES = (
    INSTANCES,
    Variable("fleet", "Fleet", 'label_values(gaugecast_stream_observed{instance=~"$instance"}, fleet)', several=False),
    Variable(
        "stream",
        "Stream",
        'label_values(gaugecast_stream_observed{instance=~"$instance", fleet="$fleet"}, stream)',
        several=False,
    ),
    Variable(
        "feature",
        "Feature",
        'label_values(gaugecast_stream_observed{fleet="$fleet", stream="$stream"}, feature)',
        several=False,
    ),
)


def overlay(
    *, lower: Query | None = None, upper: Query | None = None, anomalies: Query | None = None
) -> tuple[Query, ...]:
    """The forecast laid over the observation: both are of the same instant.

    A band goes below the curves once its metrics are there: `upper`'s style then names `lower`'s legend to fill down
    to; anomalies are points on the observed curve.
    """
    band = tuple(query for query in (lower, upper) if query is not None)
    marks = () if anomalies is None else (anomalies,)
    return (
        *band,
        Query(f"gaugecast_stream_observed{{{FEATURE}}}", "observed", Style(OBSERVED)),
        Query(f"gaugecast_stream_predicted{{{FEATURE}}}", "forecast", Style(FORECAST, dashed=True)),
        *marks,
    )


NOW = Row(
    "$stream · $feature",
    (
        stat(
            "Observed",
            "The last value.",
            (Query(f"gaugecast_stream_observed{{{FEATURE}}}"),),
            width=4,
            unit="none",
        ),
        stat(
            "Expected next",
            "The forecast for the next tick.",
            (Query(f"gaugecast_stream_forecast{{{FEATURE}}}"),),
            width=4,
            unit="none",
        ),
        stat(
            "Unit",
            "As the configuration has it.",
            (Query('gaugecast_feature_unit{fleet="$fleet", feature="$feature"}', "{{unit}}"),),
            width=4,
            unit="none",
            instant=True,
            show_name=True,
        ),
        stat(
            "Skill",
            "Of this stream: 1 is perfect, 0 no better than repeating the last value.",
            (Query(f"gaugecast_stream_skill{{{FEATURE}}}"),),
            width=4,
            unit="none",
            decimals=2,
            steps=SKILL_STEPS,
        ),
        stat(
            "Last heard",
            "Age of the last observed value, by the sensor's own clock.",
            (Query(f"time() - gaugecast_stream_observed_timestamp_seconds{{{STREAM}}}"),),
            width=4,
            unit="s",
            steps=((None, GOOD), (60, UNSURE), (600, BAD)),
        ),
        stat(
            "Trust",
            "Whether any quality flag is set on the last forecast.",
            (Query(f"max(gaugecast_stream_quality{{{STREAM}}}) or on () vector(0)"),),
            width=4,
            unit="none",
            steps=((None, GOOD), (1, UNSURE)),
            names=(("0", "sound"), ("1", "with care")),
        ),
    ),
)

CURVES = Row(
    "Observed and expected",
    (
        Panel(
            "The forecast over the observation",
            "Dashed: what had been expected for the very instant of each observation, one step earlier.",
            overlay(),
            width=24,
            height=11,
            unit="none",
        ),
        Panel(
            "Residual",
            "Observed minus expected, in the sensor's unit.",
            (Query(f"gaugecast_stream_residual{{{FEATURE}}}", "residual", Style(RESIDUAL)),),
            width=24,
            height=6,
            unit="none",
            steps=((None, "transparent"), (0.0, "text")),
        ),
        Panel(
            "Quality and state",
            "Flags of the last forecast: `stale` silence, `bridged` a gap rolled through, `warming` a new state.",
            (
                Query(f"gaugecast_stream_quality{{{STREAM}}}", "{{flag}}"),
                Query(f"1 - (max(gaugecast_stream_quality{{{STREAM}}}) or on () vector(0))", "sound"),
            ),
            kind="state-timeline",
            width=24,
            height=6,
            unit="none",
            steps=((None, "transparent"), (1, UNSURE)),
            names=(("0", "no"), ("1", "yes")),
        ),
    ),
)

AHEAD = Row(
    "Ahead",
    (
        Panel(
            "What is expected, by horizon",
            "Where the fleet lists `horizons`: the value at each of them, and the narrowest interval around it.",
            (
                Query(f"gaugecast_stream_upper{{{FEATURE}}}", "{{horizon}} upper", Style(FORECAST, dashed=True)),
                Query(f"gaugecast_stream_lower{{{FEATURE}}}", "{{horizon}} lower", Style(FORECAST, dashed=True)),
                Query(f"gaugecast_stream_ahead{{{FEATURE}}}", "{{horizon}}"),
                Query(f"gaugecast_stream_observed{{{FEATURE}}}", "observed", Style(OBSERVED)),
            ),
            unit="none",
        ),
        Panel(
            "Crossings",
            "Where the fleet has thresholds: how likely each is crossed within its reach.",
            (Query(f"gaugecast_stream_crossing_probability{{{FEATURE}}}", "{{side}} {{value}}"),),
            unit="percentunit",
            lowest=0,
            highest=1,
        ),
        Panel(
            "Time until a crossing",
            "Until half of the crossings foretold have happened.",
            (Query(f"gaugecast_stream_crossing_seconds{{{FEATURE}}}", "{{side}} {{value}}"),),
            unit="s",
        ),
        Panel(
            "How honest intervals are",
            "Of those of the whole fleet that are due, the share that held; dotted what it should be.",
            (
                Query(f"gaugecast_interval_coverage_ratio{{{OF_FLEET}}}", "{{level}} at {{horizon}}"),
                Query(f"gaugecast_interval_nominal_ratio{{{OF_FLEET}}}", "{{level}}", Style(dashed=True)),
            ),
            unit="percentunit",
        ),
        Panel(
            "How strange it is",
            "Where the fleet looks for anomalies: the score of this feature. 1 is the limit.",
            (Query(f"gaugecast_stream_anomaly_score{{{FEATURE}}}", "score"),),
            unit="none",
            lowest=0,
            steps=((None, "transparent"), (1.0, BAD)),
        ),
        Panel(
            "Streams with an anomaly",
            "Of the whole fleet, by severity.",
            (Query(f"gaugecast_anomalies_open{{{ANY_FEATURE}}}", "{{severity}}"),),
            unit="none",
        ),
        Panel(
            "Streams with a crossing foretold",
            "Of the whole fleet, those beyond included.",
            (Query(f"gaugecast_crossings_open{{{OF_FLEET}}}", "{{side}} {{value}}"),),
            unit="none",
        ),
        Panel(
            "Share of each expert",
            "In what is published of the whole fleet; `persistence` is the last value again.",
            (Query(f"gaugecast_expert_weight_ratio{{{OF_FLEET}}}", "{{expert}} at {{horizon}}"),),
            unit="percentunit",
        ),
        Panel(
            "Skill of each expert",
            "What it alone gains over the last value, of the whole fleet.",
            (Query(f"gaugecast_expert_skill{{{OF_FLEET}}}", "{{expert}} at {{horizon}}"),),
            unit="percentunit",
            lowest=0,
            highest=1,
        ),
    ),
)

BESIDE = Row(
    "Over time",
    (
        Panel(
            "Skill, this stream and its fleet",
            "A stream below its fleet is odd; a fleet that falls is a model that no longer fits.",
            (
                Query(f"gaugecast_stream_skill{{{FEATURE}}}", "this stream"),
                Query(
                    'gaugecast_skill{job="gaugecast", instance=~"$instance", fleet="$fleet", feature="$feature"}',
                    "fleet",
                ),
            ),
            unit="none",
            highest=1,
        ),
        Panel(
            "Age of the last observation",
            "A saw's tooth each period is as it should be; a ramp is a gap.",
            (Query(f"time() - gaugecast_stream_observed_timestamp_seconds{{{STREAM}}}", "age"),),
            unit="s",
        ),
        Panel(
            "All features of the stream",
            "What else it measures, each in its own unit.",
            (Query(f"gaugecast_stream_observed{{{STREAM}}}", "{{feature}}"),),
            width=24,
            unit="none",
        ),
    ),
)

PAGE = Page(
    "gaugecast-stream",
    "gaugecast · Stream",
    "One sensor: observed, the forecast laid over it, residual, skill, quality, silence.",
    VARIABLES,
    (NOW, CURVES, AHEAD, BESIDE),
    span="now-15m",
    refresh="5s",
)
