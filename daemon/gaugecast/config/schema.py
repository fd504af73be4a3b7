"""The tables of `gaugecast.toml`. Every key, its default and its bounds; unknown keys are refused.

Edges take the table that concerns them (`Mqtt`, `Storage`, …); the pipeline takes `fleet.Fleet`, made from
`FleetTable` by `config.resolve`. The description of a key is what `gaugecast init` writes beside it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, PrivateAttr, field_validator

from gaugecast.config.autoencoding import Autoencoder
from gaugecast.config.broker import Mqtt as Mqtt
from gaugecast.config.broker import Publish as Publish
from gaugecast.config.broker import Tls as Tls
from gaugecast.config.broker import plain_host
from gaugecast.config.console import Console as Console
from gaugecast.config.database import plain_database
from gaugecast.config.fleet_table import FeatureTable as FeatureTable
from gaugecast.config.fleet_table import FleetTable as FleetTable
from gaugecast.config.table import Table as Table
from gaugecast.config.training import Train
from gaugecast.config.tuning import Tune


class Storage(Table):
    """The state directory and how long history is kept."""

    directory: Path = Field(default=Path("/var/lib/gaugecast"), description="ledger and checkpoints; one daemon each")
    keep_days: float = Field(default=14.0, gt=0, description="days that readings and forecasts are kept")
    keep_gb: float = Field(default=4.0, gt=0, description="size of the ledger above which the oldest go, 10^9 bytes")
    checkpoint_replay_s: float = Field(
        default=0.5, gt=0, description="a checkpoint is taken when replaying since the last would cost these seconds"
    )
    checkpoint_every_s: float = Field(default=3600.0, gt=0, description="a checkpoint at least this often, s")
    pause_budget_ms: float = Field(
        default=5.0, gt=0, description="longest pause of the loop for one slice of state, ms"
    )
    quarantine_rows: int = Field(default=10_000, ge=0, description="refused messages that are kept to be looked at")
    postgres: str = Field(
        default="",
        description="a PostgreSQL database that holds the ledger instead of the directory; its password in PGPASSFILE",
        examples=['"postgresql://gaugecast@db.example/gaugecast"'],
    )
    postgres_schema: str = Field(
        default="gaugecast", pattern=r"^[a-z_][a-z0-9_]{0,55}$", description="of that database; one daemon each"
    )

    _postgres = field_validator("postgres")(plain_database)


class Http(Table):
    """Where /metrics, /healthz and /readyz are served."""

    host: str = Field(default="127.0.0.1", min_length=1, description="address to listen on; 0.0.0.0 = all")
    port: int = Field(default=9464, ge=0, le=65535, description="0 = any free port; `gaugecast status` tells which")
    stream_series: int = Field(
        default=200, ge=0, le=100_000, description="streams that get Prometheus series of their own"
    )

    _host = field_validator("host")(plain_host)


class HomeAssistant(Table):
    """What Home Assistant is told, so that it shows the streams by itself."""

    discovery: bool = Field(default=False, description="announce each stream as a device, with its forecasts")
    prefix: str = Field(default="homeassistant", min_length=1, description="as in Home Assistant's MQTT options")


class Loop(Table):
    """The size of a micro-batch and the bounds of memory."""

    batch_messages: int = Field(default=1000, ge=1, le=65536, description="messages taken into one commit at most")
    batch_readings: int = Field(
        default=2000, ge=1, le=65536, description="readings that end a batch; a message that crosses it is taken whole"
    )
    batch_ms: float = Field(
        default=20.0, ge=0, le=1000, description="wait for a batch to fill once messages come by twos, ms; 0 = never"
    )
    commit_ms: float = Field(
        default=0.0, ge=0, le=10_000, description="least time from one commit to the next, ms; spares SD cards"
    )
    max_streams: int = Field(default=100_000, ge=1, le=10_000_000, description="streams in memory; more are refused")
    state_mb: int = Field(
        default=2000, ge=1, description="`check` refuses what would need more for so many streams, models apart"
    )
    new_streams_per_s: float = Field(default=2000.0, gt=0, description="streams that may come into being a second")
    max_payload_bytes: int = Field(default=262_144, ge=16, description="larger payloads are refused unread")
    max_readings: int = Field(default=10_000, ge=1, description="readings in one message's array at most")
    max_lag: int = Field(
        default=5000, ge=100, description="unconfirmed forecasts at which reading waits for the broker to confirm some"
    )
    skill_half_life: int = Field(default=500, ge=1, description="steps after which an error counts half in the skill")


class Learning(Table):
    """The learner process, which trains the models beside the loop."""

    mode: Literal["auto", "child", "unit", "off"] = Field(
        default="auto",
        description="`auto`: where TensorFlow is installed; `child` of the daemon, a systemd `unit` of its own, or "
        "`off`",
    )
    cpu: float = Field(default=0.5, gt=0, le=64, description="cores that it may use")
    every_s: float = Field(default=60.0, ge=1, description="seconds between two hand-overs of weights of a fleet")
    streams: int = Field(default=64, ge=1, description="streams of a fleet that it samples")
    units: list[int] = Field(default=[64], min_length=1, max_length=8, description="LSTM layers of a first model")
    history: int = Field(
        default=300_000, ge=0, description="newest inputs of the ledger that a first model is learned from"
    )
    shadow_after: int = Field(default=100, ge=1, description="updates before a first model goes into shadow")
    promote_after: int = Field(
        default=300, ge=1, description="steps, over all streams, in which a newcomer must beat what is in force"
    )
    promote_skill: float = Field(default=0.02, ge=-1, lt=1, description="by how much, in skill")
    rollback_skill: float = Field(
        default=-0.05, ge=-10, lt=1, description="skill below which the last good weights come back"
    )
    seed: int = Field(default=0, description="of all its random draws")


class Settings(Table):
    """The whole file."""

    mqtt: Mqtt = Mqtt()
    storage: Storage = Storage()
    http: Http = Http()
    console: Console = Console()
    homeassistant: HomeAssistant = HomeAssistant()
    loop: Loop = Loop()
    learning: Learning = Learning()
    train: Train = Train()
    tune: Tune = Tune()
    autoencoder: Autoencoder = Autoencoder()
    fleet: dict[str, FleetTable] = Field(min_length=1, description="the streams to forecast, a table for each kind")
    _source: str = PrivateAttr(default="configuration")

    @property
    def source(self) -> str:
        """Name of the file that this was read from, for messages."""
        return self._source

    def read_from(self, source: str) -> Settings:
        """The same settings, with the name of their file."""
        named = self.model_copy()
        named._source = source
        return named
