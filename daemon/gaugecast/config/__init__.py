"""Configuration: one TOML file, environment overrides, validated before anything starts."""
