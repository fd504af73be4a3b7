"""What partitions and ingests say of themselves, as one status, as if one daemon said it. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from gaugecast.cluster.ingesting import IngestStatus
from gaugecast.counts import add_up
from gaugecast.scores import AnomalyStatus, FeatureStatus
from gaugecast.status import (
    BrokerStatus,
    FleetStatus,
    PublishingStatus,
    Rates,
    Status,
    StorageStatus,
    StreamCounts,
)

_Number = TypeVar("_Number", int, float)
_T = TypeVar("_T")


def joined(
    partitions: Sequence[Status | None], ingests: Sequence[IngestStatus | None], *, address: str, metrics_url: str = ""
) -> Status:
    """One status of all.

    Args:
        partitions: By number; `None` = it does not answer, and so is about to be replaced: the cluster recovers.
        ingests: As `partitions`.
        address: Of the broker.
        metrics_url: Where those of all are.
    """
    told = [one for one in partitions if one is not None]
    if not told:
        return Status()
    recovered = sum(one.recovered or 0.0 for one in told) / len(partitions)
    return Status(
        version=told[0].version,
        uptime_s=_most(one.uptime_s for one in told),
        recovered=1.0 if recovered == 1.0 else min(recovered, 0.999),
        broker=_broker(ingests, address),
        publishing=_publishing([one.publishing for one in told]),
        storage=_storage([one.storage for one in told]),
        rates=Rates(
            readings_per_s=_sum(one.rates.readings_per_s for one in told),
            forecasts_per_s=_sum(one.rates.forecasts_per_s for one in told),
        ),
        fleets={name: _fleet([one.fleets[name] for one in told if name in one.fleets]) for name in _names(told)},
        learning=next((one.learning for one in told if one.learning.heard), told[0].learning),
        skill_half_life=told[0].skill_half_life,
        degraded=sorted({reason for one in told for reason in one.degraded}),
        put_away=list(dict.fromkeys(text for one in told for text in one.put_away)),
        warnings=list(dict.fromkeys(text for one in told for text in one.warnings)),
        metrics_url=metrics_url,
    )


def models_joined(answers: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What partitions answer to `models`: of each role the version that most have, with the steps of all who do."""
    fleets: dict[str, Any] = {}
    for name in dict.fromkeys(name for answer in answers for name in answer["fleets"]):
        told = [answer["fleets"][name] for answer in answers if name in answer["fleets"]]
        roles = {role: _role([one["roles"][role] for one in told if role in one["roles"]]) for role in _roles(told)}
        rollbacks = sum(one["rollbacks"] for one in told)
        fleets[name] = {"roles": roles, "good": _commonest([one["good"] for one in told]), "rollbacks": rollbacks}
    return {"fleets": fleets}


def _roles(told: Iterable[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(role for one in told for role in one["roles"]))


def _role(told: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    version = _commonest([one["version"] for one in told])
    same = [one for one in told if one["version"] == version]
    skill = _mean((one["skill"], one["steps"]) for one in same)
    return {"version": version, "steps": sum(one["steps"] for one in same), "skill": skill}


# -- parts of the tree


def _names(told: Iterable[Status]) -> list[str]:
    return list(dict.fromkeys(name for one in told for name in one.fleets))


def _broker(ingests: Sequence[IngestStatus | None], address: str) -> BrokerStatus:
    away = [one for one in ingests if one is None or not one.connected]
    error = next((one.error for one in away if one is not None and one.error), "an ingest does not answer")
    return BrokerStatus(address=address, connected=not away, error=error if away else None)


def _publishing(told: Sequence[PublishingStatus]) -> PublishingStatus:
    return PublishingStatus(
        address=told[0].address,
        connected=all(one.connected for one in told),
        error=_first(one.error for one in told),
        reconnects_total=sum(one.reconnects_total for one in told),
        mute=_first(one.mute for one in told),
        unkept=_first(one.unkept for one in told),
        unconfirmed=sum(one.unconfirmed for one in told),
        refused_total=sum(one.refused_total for one in told),
        refused_rows=_sum(one.refused_rows for one in told),
        latency_s=_most(one.latency_s for one in told),
    )


def _storage(told: Sequence[StorageStatus]) -> StorageStatus:
    return StorageStatus(
        holding=_first(one.holding for one in told),
        fault=_first(one.fault for one in told),
        ledger_bytes=_sum(one.ledger_bytes for one in told),
        quarantine_rows=_sum(one.quarantine_rows for one in told),
        damaged_total=sum(one.damaged_total for one in told),
        damage=_first(one.damage for one in told),
        checkpoint_age_s=_most(one.checkpoint_age_s for one in told),
        checkpoints_total=sum(one.checkpoints_total for one in told),
        checkpoint_failures_total=sum(one.checkpoint_failures_total for one in told),
        checkpoint_failure=_first(one.checkpoint_failure for one in told),
    )


def _fleet(told: Sequence[FleetStatus]) -> FleetStatus:
    streams = [one.streams for one in told if one.streams is not None]
    anomalies = [one.anomalies for one in told if one.anomalies is not None]
    features = dict.fromkeys(name for one in told for name in one.features)
    leading = max(told, key=lambda one: one.streams.active if one.streams is not None else -1)
    spoken = [one.never_came for one in told if one.streams is not None and one.streams.active]
    absent = set(leading.never_came).intersection(*spoken)
    return msgspec.structs.replace(
        leading,
        counts=add_up(one.counts for one in told),
        streams=_added(StreamCounts, streams) if streams else None,
        model=_commonest([one.model for one in told]),
        features={name: _feature([(one, name) for one in told if name in one.features]) for name in features},
        rollbacks_total=sum(one.rollbacks_total for one in told),
        crossings=[
            msgspec.structs.replace(one, open=sum(other.crossings[place].open for other in told))
            for place, one in enumerate(leading.crossings)
            if all(len(other.crossings) > place for other in told)
        ],
        anomalies=_added(AnomalyStatus, anomalies) if anomalies else None,
        never_came=[name for name in leading.never_came if name in absent],
    )


def _feature(told: Sequence[tuple[FleetStatus, str]]) -> FeatureStatus:
    """Means over the partitions, each by how many streams it has."""
    parts = [(one.features[name], one.streams.active if one.streams is not None else 0) for one, name in told]
    largest = max(parts, key=lambda part: part[1])[0]

    def mean(of: Callable[[FeatureStatus], float | None]) -> float | None:
        return _mean((of(one), weight) for one, weight in parts)

    return msgspec.structs.replace(
        largest,
        absolute_error=mean(lambda one: one.absolute_error),
        skill=mean(lambda one: one.skill),
        shadow_skill=mean(lambda one: one.shadow_skill),
    )


# -- figures


def _added(kind: Callable[..., _T], told: Sequence[Any]) -> _T:
    return kind(**{name: sum(getattr(one, name) for one in told) for name in told[0].__struct_fields__})


def _first(told: Iterable[_T | None]) -> _T | None:
    return next((one for one in told if one is not None), None)


def _sum(told: Iterable[_Number | None]) -> _Number | None:
    known = [one for one in told if one is not None]
    return sum(known[1:], known[0]) if known else None


def _most(told: Iterable[float | None]) -> float | None:
    return max((one for one in told if one is not None), default=None)


def _mean(told: Iterable[tuple[float | None, float]]) -> float | None:
    known = [(one, weight) for one, weight in told if one is not None and weight > 0]
    return sum(one * weight for one, weight in known) / sum(weight for _, weight in known) if known else None


def _commonest(told: Sequence[_T]) -> _T:
    return Counter(told).most_common(1)[0][0]
