"""The running daemon: wires the edges to the pipeline and owns the commit protocol (`loop`)."""
