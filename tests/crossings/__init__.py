"""Tests of what foretells crossings."""
