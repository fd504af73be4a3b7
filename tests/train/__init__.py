"""Training by hand: options, sources, descent, exports, reports."""
