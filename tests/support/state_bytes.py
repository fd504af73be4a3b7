"""A pipeline's whole state as bytes that do not depend on slot numbers."""

from __future__ import annotations

from gaugecast.pipeline import Pipeline


def state_of(pipeline: Pipeline) -> dict[str, object]:
    """Everything that bears on later outputs, by name; equal for pipelines that stand at the same place."""
    state: dict[str, object] = {
        "rejects": dict(pipeline.rejects),
        "deliveries": pipeline.deliveries.as_list(),
        "birth": (pipeline.births.tokens, pipeline.births.at_ns),
        "lineage": pipeline.lineage,
        "schema": pipeline.schema,
        "steps": pipeline.steps.to_text(),
        "clock": pipeline.clock_ahead_ns,
    }
    for name, part in pipeline.parts.items():
        state[f"{name}: totals"] = part.totals.as_list()
        state[f"{name}: spec"] = part.fleet.to_json()
        state[f"{name}: models"] = {role: expert.version for role, expert in part.experts.items()}
        for stream, slot in sorted(part.table.slots.items()):
            for table, columns in part.tables().items():
                for column, array in columns:
                    state[f"{name}/{stream}: {table}.{column}"] = array[slot].tobytes()
    return state


def differences(one: Pipeline, other: Pipeline) -> list[str]:
    """Names of what is not the same in two pipelines."""
    a, b = state_of(one), state_of(other)
    return sorted(name for name in a.keys() | b.keys() if a.get(name) != b.get(name))
