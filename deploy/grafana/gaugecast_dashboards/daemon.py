"""*Daemon*: the loop's stages, ledger, broker, learner, and the process itself."""

from __future__ import annotations

from gaugecast_dashboards.fleet import FLEET, FLEETS, INSTANCE, INSTANCES, NO_YES
from gaugecast_dashboards.parts import BAD, GOOD, UNSURE, Page, Panel, Query, Row, stat


def quantiles(metric: str) -> tuple[Query, ...]:
    """Median and 99th percentile of a histogram."""
    return tuple(
        Query(f"histogram_quantile({share}, sum by (le) (rate({metric}_bucket{{{INSTANCE}}}[$__rate_interval])))", name)
        for share, name in ((0.5, "50 %"), (0.99, "99 %"))
    )


def total(metric: str, name: str) -> Query:
    """How much a counter grew."""
    return Query(f"sum(increase(gaugecast_{metric}_total{{{INSTANCE}}}[$__rate_interval]))", name)


LIFE = Row(
    "Life",
    (
        stat(
            "Version",
            "What runs, by daemon.",
            (Query(f"gaugecast_build_info{{{INSTANCE}}}", "{{version}}"),),
            width=4,
            instant=True,
            show_name=True,
            unit="none",
        ),
        stat(
            "Up since",
            "Age of the process.",
            (Query(f"time() - process_start_time_seconds{{{INSTANCE}}}"),),
            width=4,
            unit="dtdurations",
            instant=True,
        ),
        stat(
            "Connected",
            "With the broker.",
            (Query(f"min(gaugecast_mqtt_connected{{{INSTANCE}}})"),),
            width=4,
            unit="none",
            steps=((None, BAD), (1, GOOD)),
            names=NO_YES,
        ),
        stat(
            "Last round",
            "Seconds since the loop finished one, idle ones included.",
            (Query(f"max(gaugecast_last_round_age_seconds{{{INSTANCE}}})"),),
            width=4,
            unit="s",
            steps=((None, GOOD), (5, UNSURE), (45, BAD)),
        ),
        stat(
            "Recovered",
            "Share of the replay at start that is done.",
            (Query(f"min(gaugecast_recovered_ratio{{{INSTANCE}}})"),),
            width=4,
            unit="percentunit",
            steps=((None, UNSURE), (1, GOOD)),
        ),
        stat(
            "Does",
            "What it does: of `holding`, `deaf` and `mute` no forecast comes.",
            (Query(f"gaugecast_doing{{{INSTANCE}}} == 1", "{{verb}}"),),
            width=4,
            instant=True,
            show_name=True,
            unit="none",
        ),
        stat(
            "Restarts, 24 h",
            "How often the process began anew.",
            (Query(f"sum(changes(process_start_time_seconds{{{INSTANCE}}}[24h]))"),),
            width=8,
            unit="none",
            steps=((None, GOOD), (2, UNSURE), (10, BAD)),
        ),
        stat(
            "Newest backup",
            "Age of the newest that was found whole; empty where there has never been one.",
            (Query(f"max(gaugecast_backup_age_seconds{{{INSTANCE}}})"),),
            width=8,
            unit="dtdurations",
            steps=((None, GOOD), (2 * 86_400, UNSURE), (7 * 86_400, BAD)),
        ),
        stat(
            "Clock",
            "By how much our clock is ahead of Prometheus'.",
            (Query(f"gaugecast_clock_seconds{{{INSTANCE}}} - timestamp(gaugecast_clock_seconds{{{INSTANCE}}})"),),
            width=8,
            unit="s",
            steps=((None, BAD), (-30, GOOD), (30, BAD)),
        ),
        Panel(
            "Degraded",
            "Why it works with less than it should.",
            (Query(f"gaugecast_degraded{{{INSTANCE}}}", "{{reason}}"),),
            kind="state-timeline",
            width=24,
            height=6,
            unit="none",
            steps=((None, "transparent"), (1, BAD)),
            names=NO_YES,
        ),
    ),
)

LOOP = Row(
    "The loop",
    (
        Panel(
            "Where the one thread's time goes",
            "Seconds a second in each stage, of rounds with a batch. Near 1 in sum without `poll`, it is full.",
            (
                Query(
                    f"sum by (stage) (rate(gaugecast_stage_seconds_sum{{{INSTANCE}}}[$__rate_interval]))", "{{stage}}"
                ),
            ),
            unit="percentunit",
            stacked=True,
        ),
        Panel(
            "Messages in a batch",
            "Large batches are load, not trouble; they are what makes it fast.",
            quantiles("gaugecast_batch_messages"),
        ),
        Panel(
            "Arrival to publish",
            "Seconds from a message's arrival to the publish of its forecast.",
            quantiles("gaugecast_end_to_end_seconds"),
            unit="s",
        ),
        Panel(
            "Rounds",
            "Idle ones included; four a second at least.",
            (Query(f"sum(rate(gaugecast_rounds_total{{{INSTANCE}}}[$__rate_interval]))", "rounds"),),
            unit="cps",
        ),
    ),
)

LEDGER = Row(
    "Ledger",
    (
        Panel("Commit", "Seconds of a commit, fsync included.", quantiles("gaugecast_commit_seconds"), unit="s"),
        Panel(
            "Size and free space",
            "The ledger with its write-ahead log, and what the disk has left.",
            (
                Query(f"gaugecast_ledger_bytes{{{INSTANCE}}}", "ledger"),
                Query(f"gaugecast_disk_free_bytes{{{INSTANCE}}}", "free"),
            ),
            unit="bytes",
            lowest=0,
        ),
        Panel(
            "Age of the newest checkpoint",
            "A restart replays what came after it.",
            (Query(f"gaugecast_checkpoint_age_seconds{{{INSTANCE}}}", "{{instance}}"),),
            unit="s",
            lowest=0,
        ),
        Panel(
            "Checkpoints",
            "Written, and failed; copies of the write-ahead log that failed; damage found in the ledger.",
            (
                total("checkpoints", "written"),
                total("checkpoint_failures", "failed"),
                total("wal_copy_failures", "WAL copies failed"),
                total("ledger_damaged", "damage found"),
            ),
        ),
    ),
)

BROKER = Row(
    "Broker",
    (
        Panel(
            "Messages and forecasts",
            "In from the broker, and out to it.",
            (
                Query(f"sum(rate(gaugecast_messages_received_total{{{INSTANCE}}}[$__rate_interval]))", "messages in"),
                Query(f"sum(rate(gaugecast_forecasts_total{{{INSTANCE}}}[$__rate_interval]))", "forecasts out"),
            ),
            unit="cps",
        ),
        Panel(
            "Waiting for the broker",
            "Forecasts made and not confirmed; at loop.max_lag reading waits.",
            (Query(f"gaugecast_unconfirmed_outputs{{{INSTANCE}}}", "unconfirmed"),),
            lowest=0,
        ),
        Panel(
            "Connection",
            "Reconnects, sessions that the broker had forgotten, forecasts that it refused.",
            (
                total("mqtt_reconnects", "reconnects"),
                total("mqtt_session_lost", "sessions lost"),
                total("outputs_refused", "refused"),
            ),
        ),
        Panel(
            "Held in open ticks",
            "Readings that wait for the other features of their tick.",
            (
                Query(f"sum(gaugecast_readings_held{{{FLEET}}})", "held"),
                Query(f"sum(gaugecast_readings_held_at_start{{{FLEET}}})", "held when this process began"),
            ),
            lowest=0,
        ),
    ),
)

LEARNER = Row(
    "Learner",
    (
        Panel(
            "Who learns",
            "A child of the daemon or a unit of its own; nobody, where it is off or TensorFlow is not installed.",
            (
                Query(f"gaugecast_learning{{{INSTANCE}}} == 1", "{{mode}}"),
                Query(f"gaugecast_learner_heard{{{INSTANCE}}}", "has spoken"),
            ),
            kind="stat",
            width=6,
            height=8,
            instant=True,
            show_name=True,
            unit="none",
        ),
        Panel(
            "Learning progress",
            "First updates of those that a model needs to go into shadow; then steps of those that it is judged by.",
            (
                Query(f"gaugecast_lesson_ratio{{{FLEET}}}", "{{fleet}} first updates"),
                Query(f"gaugecast_trial_ratio{{{FLEET}}}", "{{fleet}} trial"),
            ),
            width=9,
            unit="percentunit",
            lowest=0,
        ),
        Panel(
            "Skill in shadow",
            "Of the model on trial, over the last value; and how many minutes its trial still takes.",
            (
                Query(f"gaugecast_shadow_skill{{{FLEET}}}", "{{fleet}} {{feature}}"),
                Query(f"gaugecast_lesson_eta_seconds{{{FLEET}}} / 60", "{{fleet}} minutes left"),
            ),
            width=9,
            unit="none",
        ),
        Panel(
            "Updates",
            "Of the weights; failed ones were thrown away.",
            (
                Query(f"sum(rate(gaugecast_learner_updates_total{{{FLEET}}}[$__rate_interval]))", "updates"),
                Query(f"sum(rate(gaugecast_learner_failures_total{{{FLEET}}}[$__rate_interval]))", "failures"),
            ),
            unit="cps",
        ),
        Panel(
            "Hand-overs and drift",
            "Weights put in force and taken back, and changes of the plant that the learner declared.",
            (
                Query(f"sum(increase(gaugecast_learner_handovers_total{{{FLEET}}}[$__rate_interval]))", "hand-overs"),
                Query(f"sum(increase(gaugecast_drift_total{{{FLEET}}}[$__rate_interval]))", "drift"),
                Query(f"sum(increase(gaugecast_rollbacks_total{{{FLEET}}}[$__rate_interval]))", "roll-backs"),
            ),
        ),
        Panel(
            "Behind",
            "How far behind the newest reading the learner is.",
            (Query(f"gaugecast_learner_lag_seconds{{{FLEET}}}", "{{fleet}}"),),
            unit="s",
            lowest=0,
        ),
        Panel(
            "Learning rate",
            "In use now.",
            (Query(f"gaugecast_learner_rate{{{FLEET}}}", "{{fleet}}"),),
            unit="none",
        ),
    ),
)

PROCESS = Row(
    "Process",
    (
        Panel(
            "Memory",
            "Resident.",
            (Query(f"process_resident_memory_bytes{{{INSTANCE}}}", "{{instance}}"),),
            width=8,
            unit="bytes",
            lowest=0,
        ),
        Panel(
            "CPU",
            "Cores in use; the loop is one thread.",
            (Query(f"rate(process_cpu_seconds_total{{{INSTANCE}}}[$__rate_interval])", "{{instance}}"),),
            width=8,
            unit="percentunit",
            lowest=0,
        ),
        Panel(
            "Scrapes",
            "Seconds to print /metrics, and streams that the cap leaves without series.",
            (
                Query(f"gaugecast_scrape_seconds{{{INSTANCE}}}", "seconds"),
                Query(f"gaugecast_stream_series_omitted{{{INSTANCE}}}", "streams omitted"),
            ),
            width=8,
            unit="none",
            lowest=0,
        ),
    ),
)

PAGE = Page(
    "gaugecast-daemon",
    "gaugecast · Daemon",
    "Loop stages, ledger, broker, learner, process.",
    (INSTANCES, FLEETS),
    (LIFE, LOOP, LEDGER, BROKER, LEARNER, PROCESS),
)
