"""The tables of `gaugecast.toml`. Every key, its default and its bounds; unknown keys are refused.

Edges take the table that concerns them (`Mqtt`, `Storage`, …); the pipeline takes `fleet.Fleet`, made from
`FleetTable`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Table(BaseModel):
    """Base of all tables: frozen, unknown keys refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Tls(Table):
    """`[mqtt.tls]`: present = TLS."""

    ca: Path | None = Field(default=None, description="CA certificates (PEM); the system's if absent")
    certificate: Path | None = Field(default=None, description="Client certificate (PEM)")
    key: Path | None = Field(default=None, description="Its private key (PEM)")
    verify_hostname: bool = True


class Mqtt(Table):
    """`[mqtt]`: the broker and the session with it."""

    host: str = "localhost"
    port: int = Field(default=1883, ge=1, le=65535)
    client_id: str = Field(default="gaugecast", min_length=1, max_length=128)
    protocol: Literal["5", "3.1.1"] = "5"
    keepalive_s: int = Field(default=30, ge=5, le=3600)
    username: str | None = None
    password_file: Path | None = Field(default=None, description="File that holds the password; never the password")
    tls: Tls | None = None
    receive_maximum: int = Field(default=1000, ge=1, le=65535, description="Unacked messages that the broker may send")
    publish_window: int = Field(default=20, ge=1, le=65535, description="Our unacked publishes at QoS 1")
    session_expiry_s: int = Field(default=7 * 86400, ge=0)
    reconnect_max_s: float = Field(default=30.0, ge=0.1, le=3600)
    status_topic: str = Field(default="gaugecast/status", description="Retained: online, offline (last will)")


class Storage(Table):
    """`[storage]`: the state directory and how long history is kept."""

    directory: Path = Path("/var/lib/gaugecast")
    keep_days: float = Field(default=14.0, gt=0)
    keep_gb: float = Field(default=4.0, gt=0)
    checkpoint_replay_s: float = Field(default=0.5, gt=0, description="Checkpoint when replay would cost this")
    checkpoint_every_s: float = Field(default=3600.0, gt=0)
    pause_budget_ms: float = Field(default=5.0, gt=0, description="Longest pause of the loop for one slice of state")
    quarantine_rows: int = Field(default=10_000, ge=0)


class Http(Table):
    """`[http]`: /metrics, /healthz, /readyz."""

    host: str = "127.0.0.1"
    port: int = Field(default=9464, ge=0, le=65535, description="0 = any free port; -c status tells which")
    stream_series: int = Field(default=200, ge=0, description="Streams that get series of their own")


class Loop(Table):
    """`[loop]`: the size of a micro-batch and the bounds of memory."""

    batch_messages: int = Field(default=1000, ge=1, le=65536)
    batch_ms: float = Field(default=20.0, ge=0, le=1000)
    max_streams: int = Field(default=100_000, ge=1)
    new_streams_per_s: float = Field(default=2000.0, gt=0)
    max_payload_bytes: int = Field(default=262_144, ge=16)
    max_readings: int = Field(default=10_000, ge=1, description="Readings in one message's array")
    max_lag: int = Field(default=100_000, ge=100, description="Unconfirmed outputs at which polling stops")
    skill_half_life: int = Field(default=500, ge=1, description="Steps")


class Learning(Table):
    """`[learning]`: the learner process."""

    mode: Literal["child", "unit", "off"] = "off"
    cpu: float = Field(default=0.5, gt=0, le=64, description="Cores it may use")
    every_s: float = Field(default=60.0, ge=1, description="Distance of two hand-overs of a fleet")
    streams: int = Field(default=64, ge=1, description="Streams of a fleet that it samples")
    seed: int = 0


class FeatureTable(Table):
    """`[fleet.NAME.features.FEATURE]`."""

    path: str = Field(default="", description="JSON path `$.data.p`; the feature's name if absent")
    unit: str = ""
    role: Literal["forecast", "input"] = "forecast"
    valid: tuple[float, float] | None = None
    aggregate: Literal["last", "mean", "min", "max", "sum"] = "last"


class FleetTable(Table):
    """`[fleet.NAME]`: streams of one kind."""

    subscribe: list[str] = Field(min_length=1)
    stream: str = ""
    payload: Literal["json", "number"] = "json"
    records: str = "$"
    time: str | None = None
    time_unit: Literal["s", "ms", "us", "ns", "iso8601"] = "s"
    timezone: str = "UTC"
    sequence: str | None = None
    period: str | float = Field(description="Seconds, or `500ms`, `1s`, `5m`, `1h`, `1d`")
    bridge: int = Field(default=5, ge=0, le=10_000)
    grace: str | float | None = None
    horizon: int = Field(default=1, ge=1, le=1000)
    rows: Literal["per_feature", "joint"] | None = None
    output: str = "gaugecast/{fleet}/{stream}"
    output_qos: Literal[0, 1] = 1
    input_qos: Literal[0, 1] = 1
    retain: bool = False
    accept_retained: bool = False
    stale_after: str | float | None = None
    park_after: str | float | None = None
    features: dict[str, FeatureTable] = Field(min_length=1)


class Settings(Table):
    """The whole file."""

    mqtt: Mqtt = Mqtt()
    storage: Storage = Storage()
    http: Http = Http()
    loop: Loop = Loop()
    learning: Learning = Learning()
    fleet: dict[str, FleetTable] = Field(min_length=1)
