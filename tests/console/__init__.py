"""The console: its API, who may look, its pages in a real browser."""
