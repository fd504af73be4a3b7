"""Over history: `run` feeds rows to the daemon's `advance`, `lockstep` learns between two of them and `recorder` keeps
what came of it; `horizon_run` and `crossing_run` add what is told on top. The `…_score` files judge, `…drawing` and
`…page` show it.
"""
