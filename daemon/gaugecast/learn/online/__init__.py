"""Beside the loop: `process` is the learner's life, `follower` its own pipeline at the ledger's tail, `first_lessons`
the past of a fleet without a model; `pupil` is a fleet, `student` and `memory` what it is shown, `trainer` the updates.
"""
