"""Training by hand, from recorded history to a run directory: `job` is the way of the rows, `run_directory` writes
down what came of it, `verdict` says it in words.
"""
