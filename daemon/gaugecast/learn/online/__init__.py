"""Beside the loop: `process` is the learner's life, `follower` its own pipeline at the ledger's tail,
`history_bootstrap` the past of a fleet without a model; `fleet_learner` learns one fleet, `target_feeder` and `memory`
are what it is shown, `trainer` makes the updates.
"""
