"""Configuration: one TOML file, environment overrides, validated before anything starts."""

from gaugecast.config.load import load_settings
from gaugecast.config.resolve import resolve_fleets
from gaugecast.config.schema import Settings

__all__ = ["Settings", "load_settings", "resolve_fleets"]
