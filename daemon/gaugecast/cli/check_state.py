"""How much memory a configuration's streams would take: said by `check`, and refused where it is too much."""

from __future__ import annotations

from collections.abc import Sequence

from gaugecast.config.schema import Loop
from gaugecast.errors import ConfigError
from gaugecast.fleet import Fleet
from gaugecast.pipeline.fleet_pipeline import FleetPipeline


def bytes_a_stream(fleet: Fleet) -> int:
    """State of one stream, models apart."""
    part = FleetPipeline(fleet, skill_half_life=1.0)
    return sum(columns.row_bytes for columns in part.tables().values())


def check_state(fleets: Sequence[Fleet], limits: Loop) -> None:
    """Refuse what would not fit.

    Raises:
        ConfigError: With the fleet that takes most, and what would mend it.
    """
    if not fleets:
        return
    largest = max(fleets, key=bytes_a_stream)
    needed_mb = bytes_a_stream(largest) * limits.max_streams / 1e6
    if needed_mb > limits.state_mb:
        raise ConfigError(
            f"[loop] state_mb: {limits.state_mb} MB expected to hold {limits.max_streams} streams, got "
            f"{needed_mb:.0f} MB at {bytes_a_stream(largest)} bytes a stream of fleet {largest.name!r}; lower "
            "max_streams, list fewer horizons, or raise state_mb"
        )


def state_text(fleet: Fleet, limits: Loop) -> str:
    """The same in a line."""
    size = bytes_a_stream(fleet)
    return f"{size:,} bytes of state a stream, {size * limits.max_streams / 1e6:,.0f} MB with {limits.max_streams:,}"
