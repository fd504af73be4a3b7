"""*Fleet*: is it well, how much does it do, how fast, how good, at a glance."""

from __future__ import annotations

from gaugecast_dashboards.parts import BAD, GOOD, OBSERVED, UNSURE, Page, Panel, Query, Row, Style, Variable, stat

INSTANCE = 'job="gaugecast", instance=~"$instance"'
FLEET = f'{INSTANCE}, fleet=~"$fleet"'

INSTANCES = Variable("instance", "Daemon", 'label_values(up{job="gaugecast"}, instance)')
FLEETS = Variable("fleet", "Fleet", 'label_values(gaugecast_streams{instance=~"$instance"}, fleet)')

NO_YES = (("0", "no"), ("1", "yes"))
OUTCOMES = (("stepped", GOOD), ("late", UNSURE), ("duplicate", OBSERVED), ("rejected", BAD))
SKILL_STEPS = ((None, BAD), (0.0, UNSURE), (0.2, GOOD))

GLANCE = Row(
    "At a glance",
    (
        stat(
            "Forecasting",
            "Whether the state is recovered, the loop turns and the broker is connected.",
            (Query(f"min(gaugecast_ready{{{INSTANCE}}})"),),
            width=3,
            unit="none",
            steps=((None, BAD), (1, GOOD)),
            names=NO_YES,
        ),
        stat(
            "Streams",
            "Streams in memory, silent ones included.",
            (Query(f'sum(gaugecast_streams{{{FLEET}, state="active"}})'),),
            width=3,
        ),
        stat(
            "Silent",
            "Share of the streams that have said nothing for `stale_after`.",
            (
                Query(
                    f'sum(gaugecast_streams{{{FLEET}, state="stale"}})'
                    f' / sum(gaugecast_streams{{{FLEET}, state="active"}})'
                ),
            ),
            width=3,
            unit="percentunit",
            steps=((None, GOOD), (0.02, UNSURE), (0.1, BAD)),
        ),
        stat(
            "Readings",
            "Readings taken a second, whatever became of them.",
            (Query(f"sum(rate(gaugecast_readings_received_total{{{FLEET}}}[$__rate_interval]))"),),
            width=3,
            unit="cps",
        ),
        stat(
            "Refused",
            "Share of the readings that were refused.",
            (
                Query(
                    f'sum(rate(gaugecast_readings_total{{{FLEET}, outcome="rejected"}}[$__rate_interval]))'
                    f" / sum(rate(gaugecast_readings_received_total{{{FLEET}}}[$__rate_interval]))"
                ),
            ),
            width=3,
            unit="percentunit",
            steps=((None, GOOD), (0.01, UNSURE), (0.05, BAD)),
        ),
        stat(
            "To forecast, 99 %",
            "Arrival of a reading to publish of its forecast: 99 of 100 are faster.",
            (
                Query(
                    "histogram_quantile(0.99, sum by (le) "
                    f"(rate(gaugecast_end_to_end_seconds_bucket{{{INSTANCE}}}[$__rate_interval])))"
                ),
            ),
            width=3,
            unit="s",
            steps=((None, GOOD), (0.5, UNSURE), (2.5, BAD)),
        ),
        stat(
            "Skill, worst feature",
            "1 is perfect, 0 no better than repeating the last value, below 0 worse.",
            (Query(f"min(gaugecast_skill{{{FLEET}}})"),),
            width=3,
            unit="none",
            decimals=2,
            steps=SKILL_STEPS,
        ),
        stat(
            "Degraded",
            "How many reasons there are why it works with less than it should; the Daemon page names them.",
            (Query(f"sum(gaugecast_degraded{{{INSTANCE}}})"),),
            width=3,
            steps=((None, GOOD), (1, BAD)),
        ),
    ),
)

QUALITY = Row(
    "How good",
    (
        Panel(
            "Skill by feature",
            "Discounted skill over persistence. A fall that stays: the plant has changed, or the model is lost.",
            (Query(f"gaugecast_skill{{{FLEET}}}", "{{fleet}} {{feature}}"),),
            unit="none",
            highest=1,
            steps=((None, "transparent"), (0.0, BAD)),
        ),
        Panel(
            "Mean absolute error",
            "Discounted, in each sensor's own unit.",
            (Query(f"gaugecast_absolute_error{{{FLEET}}}", "{{fleet}} {{feature}}"),),
            unit="none",
        ),
        Panel(
            "Worst streams",
            "The ten streams that are forecast worst, of those with series of their own.",
            (Query(f"bottomk(10, gaugecast_stream_skill{{{FLEET}}})"),),
            kind="table",
            width=12,
            unit="none",
            decimals=2,
            instant=True,
            steps=SKILL_STEPS,
        ),
        Panel(
            "Most surprising now",
            "The ten strangest features, of streams with series of their own; 1 is the limit.",
            (Query(f"topk(10, gaugecast_stream_anomaly_score{{{FLEET}}})"),),
            kind="table",
            width=12,
            unit="none",
            decimals=2,
            instant=True,
        ),
        Panel(
            "Anomalies",
            "Streams of which one is told, by severity.",
            (Query(f"gaugecast_anomalies_open{{{FLEET}}}", "{{fleet}} {{severity}}"),),
            unit="none",
        ),
        Panel(
            "What forecasts were made of",
            "Steps a second: by persistence, without a feature, rolled through a gap, or with a value that was held.",
            (
                Query(f"sum(rate(gaugecast_forecasts_total{{{FLEET}}}[$__rate_interval]))", "all"),
                Query(f"sum(rate(gaugecast_fallback_steps_total{{{FLEET}}}[$__rate_interval]))", "persistence"),
                Query(f"sum(rate(gaugecast_partial_steps_total{{{FLEET}}}[$__rate_interval]))", "partial"),
                Query(f"sum(rate(gaugecast_bridged_ticks_total{{{FLEET}}}[$__rate_interval]))", "bridged"),
                Query(f"sum(rate(gaugecast_unchanged_steps_total{{{FLEET}}}[$__rate_interval]))", "unchanged"),
            ),
            unit="cps",
        ),
    ),
)

FLOW = Row(
    "How much",
    (
        Panel(
            "Readings by outcome",
            "Stepped, late, duplicate, rejected: every reading is exactly one of them, or waits in its tick.",
            tuple(
                Query(
                    f'sum(rate(gaugecast_readings_total{{{FLEET}, outcome="{outcome}"}}[$__rate_interval]))',
                    outcome,
                    Style(color),
                )
                for outcome, color in OUTCOMES
            ),
            unit="cps",
            stacked=True,
        ),
        Panel(
            "Refused by reason",
            "Readings, or messages that cannot be split. `gaugecast quarantine` lists them.",
            (
                Query(
                    f"sum by (reason) (rate(gaugecast_rejects_total{{{INSTANCE}}}[$__rate_interval])) > 0"
                    f' or sum by (reason) (rate(gaugecast_rejects_total{{{INSTANCE}, reason="unknown_topic"}}'
                    "[$__rate_interval]))",
                    "{{reason}}",
                ),
            ),
            unit="cps",
            stacked=True,
        ),
        Panel(
            "How late",
            "By how much late readings lie behind the newest of their stream, on average; 0 where none is late.",
            (
                Query(
                    f"sum by (fleet) (rate(gaugecast_late_seconds_total{{{FLEET}}}[$__rate_interval]))"
                    f' / clamp_min(sum by (fleet) (rate(gaugecast_readings_total{{{FLEET}, outcome="late"}}'
                    "[$__rate_interval])), 1e-9)",
                    "{{fleet}}",
                ),
            ),
            unit="s",
        ),
        Panel(
            "Forecasts",
            "Forecast messages a second, by fleet.",
            (Query(f"sum by (fleet) (rate(gaugecast_forecasts_total{{{FLEET}}}[$__rate_interval]))", "{{fleet}}"),),
            unit="cps",
        ),
        Panel(
            "Arrival to publish",
            "Median and 99th percentile.",
            tuple(
                Query(
                    f"histogram_quantile({share}, sum by (le) "
                    f"(rate(gaugecast_end_to_end_seconds_bucket{{{INSTANCE}}}[$__rate_interval])))",
                    name,
                )
                for share, name in ((0.5, "50 %"), (0.99, "99 %"))
            ),
            unit="s",
        ),
    ),
)

STREAMS = Row(
    "Streams",
    (
        Panel(
            "Streams by state",
            "Active ones, those of them that are silent, and those put away until they speak again.",
            (
                Query(f'sum(gaugecast_streams{{{FLEET}, state="active"}})', "active", Style(GOOD)),
                Query(f'sum(gaugecast_streams{{{FLEET}, state="stale"}})', "silent", Style(BAD)),
                Query(f'sum(gaugecast_streams{{{FLEET}, state="parked"}})', "parked", Style(UNSURE)),
            ),
        ),
        Panel(
            "Gaps and resets",
            "Gaps met, and states that had to begin anew after a gap too long to bridge.",
            (
                Query(f"sum(increase(gaugecast_gaps_total{{{FLEET}}}[$__rate_interval]))", "gaps"),
                Query(f"sum(increase(gaugecast_resets_total{{{FLEET}}}[$__rate_interval]))", "resets"),
                Query(f"sum(increase(gaugecast_reanchored_total{{{FLEET}}}[$__rate_interval]))", "re-anchored"),
            ),
        ),
        Panel(
            "Silent streams",
            "By name, of those with series of their own: they have said nothing for `stale_after`.",
            (Query(f'gaugecast_stream_quality{{{FLEET}, flag="stale"}} == 1'),),
            kind="table",
            width=12,
            instant=True,
            unit="none",
        ),
        Panel(
            "Late readings",
            "Share that was older than what had been taken already; counted, never forecast from.",
            (
                Query(
                    f'sum by (fleet) (rate(gaugecast_readings_total{{{FLEET}, outcome="late"}}[$__rate_interval]))'
                    f" / sum by (fleet) (rate(gaugecast_readings_received_total{{{FLEET}}}[$__rate_interval]))",
                    "{{fleet}}",
                ),
            ),
            unit="percentunit",
            lowest=0,
        ),
        Panel(
            "Model in force",
            "The weights that forecast now; `persistence` repeats the last value.",
            (Query(f"gaugecast_model_in_force{{{FLEET}}} == 1"),),
            kind="table",
            width=24,
            height=5,
            instant=True,
            unit="none",
        ),
    ),
)

PAGE = Page(
    "gaugecast-fleet",
    "gaugecast · Fleet",
    "Health, rates, latency and skill at a glance.",
    (INSTANCES, FLEETS),
    (GLANCE, QUALITY, FLOW, STREAMS),
)
