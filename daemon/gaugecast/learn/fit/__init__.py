"""Fitting a network: `prepared` makes inputs and targets of a recording, `batches` cuts them, `network` unrolls them,
`descent` takes the steps; `fitting` makes epochs of those, `warm_up` a few passes before a model serves.
"""
