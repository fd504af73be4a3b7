"""Over history: `run` feeds rows to the daemon's `advance`, `lockstep` learns between two of them; `baselines` and
`windowed` are what it is held against, `score` and `plots` what is told of it.
"""
