"""The fleets of every story: one of each way in which readings become steps. Small models, few streams."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

from gaugecast.config.schema import Loop
from gaugecast.errors import ModelError
from gaugecast.fleet import Feature, Fleet
from gaugecast.forecast.scaling import InputLayout
from gaugecast.model import Model, Recipe
from gaugecast.testing import random_model
from gaugecast.watching import AnomalySettings

SECOND = 1_000_000_000
T0 = 1_700_000_000 * SECOND
#: Room for every stream that there is; forecasts may be unconfirmed of fewer readings than a story has at once.
LINEAGE = "00c0ffee"
LIMITS = Loop(
    batch_messages=7, batch_readings=9, batch_ms=0, max_streams=17, new_streams_per_s=1000, skill_half_life=30
).model_copy(update={"max_lag": 20})

TANKS = Fleet(
    "tanks",
    ("tank/{tank}",),
    "{tank}",
    (Feature("p", path=("p",)), Feature("q", path=("q",)), Feature("set", path=("s",), role="input")),
    SECOND,
    time_path=("t",),
    bridge=2,
    horizon=2,
    retain=True,
)
JOINED = Fleet(
    "joined",
    ("joined/{tank}/{feature}",),
    "{tank}",
    (Feature("p", path=("v",), valid_min=-1e6, valid_max=1e6), Feature("q", path=("v",))),
    SECOND,
    time_path=("t",),
    feature_capture="feature",
    grace_ns=2 * SECOND,
    bridge=2,
    rows="joint",
    stale_after_ns=8 * SECOND,
    park_after_ns=20 * SECOND,
)
MEANS = Fleet(
    "means",
    ("means/{tank}",),
    "{tank}",
    (Feature("mean", path=("v",), aggregate="mean"), Feature("top", path=("v",), aggregate="max")),
    SECOND,
    time_path=("t",),
    grace_ns=SECOND,
    bridge=1,
    park_after_ns=25 * SECOND,
)
SEQUENCED = Fleet(
    "sequenced",
    ("seq/{tank}",),
    "{tank}",
    (Feature("v", path=("v",)),),
    SECOND,
    sequence_path=("n",),
    horizons=(1, 3),
    intervals=(0.8,),
    park_after_ns=15 * SECOND,
)
BARE = Fleet(
    "bare", ("bare/{tank}",), "{tank}", (Feature("v"),), SECOND, payload="number", stale_after_ns=30 * SECOND
)  # fmt: skip
ALL = (TANKS, JOINED, MEANS, SEQUENCED, BARE)
#: The same with what sensors leave unsaid: some report on change, and others are late.
UNSAID = (
    TANKS,
    replace(JOINED, hold_ns=4 * SECOND, grace_ns=SECOND // 2, tolerant=True),
    replace(MEANS, lateness_ns=3 * SECOND, tolerant=True),
    replace(SEQUENCED, tolerant=True),
    BARE,
)

#: Who knows next to nothing of a stream, and bears little, has an event every few steps.
WATCHING = AnomalySettings(healthy=10, hold=2, settle=0, tolerance=0.3)
#: The same where the set-point says the state, and it is soon looked again at what is usual, beyond the story's end.
WATCHING_STATES = replace(WATCHING, mode="set", refit=3)
_WATCHED = {"tanks": WATCHING, "sequenced": WATCHING}
_IN_STATES = {**_WATCHED, "tanks": WATCHING_STATES}


def fleets_of(seed: int) -> tuple[Fleet, ...]:
    """Those of a story: of each third the second kind; in each fourth two are watched, in a third of these by state."""
    fleets = UNSAID if seed % 3 == 2 else ALL
    if not is_watched(seed):
        return fleets
    watched = _IN_STATES if has_states(seed) else _WATCHED
    return tuple(replace(fleet, anomaly=watched.get(fleet.name)) for fleet in fleets)


def is_watched(seed: int) -> bool:
    """Whether anomalies are looked for in a story."""
    return seed % 4 == 3


def has_states(seed: int) -> bool:
    """Whether the tanks of a story have states, each with limits of its own."""
    return seed % 12 == 11


MODELLED = ("tanks", "joined")


@cache
def model_of(fleet: str, version: str) -> Model:
    """The weights of a fleet; `version` is the seed they are drawn with.

    Raises:
        ModelError: There is no such fleet.
    """
    spec = {f.name: f for f in ALL}.get(fleet)
    if spec is None or fleet not in MODELLED:
        raise ModelError(f"one of {MODELLED} expected, got {fleet!r}")
    features = [(f.name, f.role) for f in spec.features]
    recipe = Recipe(half_life_steps=20.0)
    layout = InputLayout.of(spec.features, spec.rows, recipe)
    model = random_model(
        fleet, features, spec.rows, units=(4,), recipe=recipe, warmup_steps=3, seed=int(version),
        input_size=layout.input_size, output_size=layout.output_size,
    )  # fmt: skip
    return Model(replace(model.manifest, version=version), model.weights)


def shipped(fleet: Fleet) -> Model | None:
    """What comes with the package: the first weights of the fleets that have some, with the features they were for."""
    known = {f.name: f.features for f in ALL if f.name in MODELLED}
    return model_of(fleet.name, "1") if known.get(fleet.name) == fleet.features else None


class Weights:
    """The store of a story; it lives through crashes.

    Attributes:
        memory: What the next newcomer remembers of the streams, in chunks.
    """

    def __init__(self) -> None:
        self.memory: list[bytes] = []

    def load(self, fleet: str, version: str) -> Model:
        """As `ModelStore.load`."""
        return model_of(fleet, version)

    def add(self, _fleet: str, model: Model) -> str:
        """They are there already."""
        return model.manifest.version

    def fleets(self) -> list[str]:
        """As `ModelStore.fleets`."""
        return list(MODELLED)

    def forget(self, fleet: str) -> None:
        """Nothing is swept here."""

    def touch(self, fleet: str, version: str) -> None:
        """Nothing is swept here."""

    def take_memory(self, _fleet: str, _version: str) -> list[bytes]:
        """As `ModelStore.take_memory`."""
        taken, self.memory = self.memory, []
        return taken
