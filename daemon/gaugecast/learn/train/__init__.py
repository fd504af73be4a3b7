"""Training by hand: from recorded history to a run directory with a model that the daemon serves.

The way of the rows: `sources` read files into a `Recording` on disk, `prepared` makes inputs and targets of it with
the recipe that the daemon uses, `batches` cuts those into segments or windows, `fitting` descends, `judging` steps
the result through the daemon's own code, `run_directory` writes it all down.
"""
