"""Experts, mixture and intervals of the listed horizons."""
