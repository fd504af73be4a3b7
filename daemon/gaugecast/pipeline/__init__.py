"""The pure middle as one thing: inputs in, outputs and verdicts out, the same for the same inputs for ever.

`pipeline` has `advance`, `intake` sorts a batch into rounds, `part` is one fleet at work, `speaker` writes messages,
`waiting` is what silence brings about. `events` change the rules; `state`, `parking` and `memories` take state out and
back: of everything, of one stream, of one model. `rehearsal` takes a model over the past before it has a role.
"""

from gaugecast.pipeline.pipeline import Outcome, Pipeline

__all__ = ["Outcome", "Pipeline"]
