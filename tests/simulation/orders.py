"""What people, the learner and configuration files ask of the daemon in a story."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import msgspec

from gaugecast.control import ForgetFleet, HandOver, ModelsQuery, Promote, Request, Reset, RollBack
from gaugecast.errors import ModelError
from gaugecast.fleet import Fleet
from gaugecast.loop.core import Core
from gaugecast.pipeline import memories
from gaugecast.pipeline.solo import SoloPipeline, begins_after
from gaugecast.service.commands import Commands
from gaugecast.service.learner_monitor import LearnerMonitor
from gaugecast.status import Status
from simulation.fleets import JOINED, LIMITS, MEANS, SEQUENCED, Weights, model_of
from simulation.journal import Journal
from simulation.points import Violation

#: Fleets that come and go, and come back under the same name.
_PASSING = {"means": MEANS, "sequenced": SEQUENCED}


def obey(core: Core, rng: Random, weights: Weights, journal: Journal) -> None:
    """One command through the control socket's door; a refusal in words is an answer, too."""
    choice = rng.randrange(6)
    if choice < 2:
        bring_a_newcomer(core, rng, weights, journal)
        return
    others = (
        Reset(fleet="joined", stream="" if rng.random() < 0.3 else "a"),
        HandOver(fleet="joined", version=str(rng.randint(1, 3)), role="in_force"),
        Promote(fleet="joined"),
        rng.choice((RollBack(fleet="joined"), ModelsQuery())),
    )
    _ask(core, others[choice - 2])


def bring_a_newcomer(core: Core, rng: Random, weights: Weights, journal: Journal) -> None:
    """Weights go on trial; what they remember of each stream follows, a batch each."""
    version = str(rng.randint(1, 3))
    weights.memory = remembered(journal, version)
    _ask(core, HandOver(fleet="joined", version=version, reason="asked"))


def forget_fleet(core: Core, fleet: str) -> None:
    """It is gone for good; refused where its leaving has not been taken yet."""
    _ask(core, ForgetFleet(fleet=fleet))


def _ask(core: Core, request: Request) -> None:
    try:
        Commands(core, LearnerMonitor(), Status).act(request)
    except ModelError:
        return
    except Exception as exc:
        raise Violation(f"{request} ends the process: {exc!r}") from exc


def remembered(journal: Journal, version: str) -> list[bytes]:
    """What a newcomer remembers after it has stepped over all that is durable; a stream a chunk."""
    solo = SoloPipeline([(JOINED, model_of("joined", version))], LIMITS)
    told = [(seq, one.fleet, one.event) for seq, one in enumerate(journal.inputs, 1) if one.event is not None]
    last = len(journal.inputs)
    begin = begins_after(told, solo.fleets, first_seq=1, upto_seq=last, most=last)
    solo.take(one for one in journal.inputs[begin:] if len(one.values) in (0, 8 * len(JOINED.features)))
    chunks = [memories.decode(chunk) for chunk in solo.memories("joined")]
    return [
        msgspec.msgpack.encode(memories.Memory(chunk.meaning, [stream])) for chunk in chunks for stream in chunk.streams
    ]


def reload_fleets(fleets: tuple[Fleet, ...], rng: Random) -> tuple[Fleet, ...]:
    """Another file: a fleet leaves, comes, or is configured otherwise; one more feature for the modelled one."""
    draw = rng.random()
    if draw < 0.4:
        return tuple(_changed(f, rng) if f.name == "means" else f for f in fleets)
    if draw < 0.6:
        return tuple(_grown(f) if f.name == "joined" else f for f in fleets)
    base = rng.choice(tuple(_PASSING))
    kept = tuple(f for f in fleets if f.name != base)
    return kept if len(kept) < len(fleets) else (*kept, _PASSING[base])


def _changed(fleet: Fleet, rng: Random) -> Fleet:
    fleet = replace(fleet, bridge=rng.randint(1, 3))
    if rng.random() < 0.3:
        other = replace(fleet.features[0], aggregate=rng.choice(("min", "sum")))
        fleet = replace(fleet, features=(other, fleet.features[1]))
    return fleet


def _grown(fleet: Fleet) -> Fleet:
    """With a feature more than it has in `fleets.ALL`, or without it again."""
    if len(fleet.features) > len(JOINED.features):
        return replace(fleet, features=JOINED.features)
    return replace(fleet, features=(*fleet.features, replace(fleet.features[1], name="r")))
