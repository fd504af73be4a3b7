"""The running daemon: wires the edges to the pipeline and owns the commit protocol (`loop`).

`life` and `daemon` start, turn and stop it; `recovery` brings state back, `publisher` sends what was committed.
Weights: `models` keeps the files, `keeper` the roles, `warming` what they begin with; `engines` loads what is slow,
`sweep` deletes. `learning` wires the learner, `child` starts it. `commands`, `reports`, `reporter` and `diary` answer,
measure and tell.
"""
