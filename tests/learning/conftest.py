"""Fixtures of the learning tests."""

from e2e.conftest import broker

__all__ = ["broker"]
