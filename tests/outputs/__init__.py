"""Tests of the shapes of messages."""
