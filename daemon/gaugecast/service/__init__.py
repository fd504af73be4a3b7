"""The running daemon: a thin shell around `loop.core.Core`, and what it tells of itself.

`daemon` starts, turns and stops it; `commands` and `reload` change it while it runs. `reporter` builds the status once
a second, `reports` reads the pipeline for it, `transitions` writes to the log what has changed. `learning` wires the
learner's process, `children` starts it and the console, `learner_monitor` hears what it says; `warming` steps a
newcomer over the past. `replaying` takes a ledger's inputs once more; `sweep` deletes weights that nothing names.
"""
