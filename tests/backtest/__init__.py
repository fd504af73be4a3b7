"""Over history: replay, baselines, scores, the command."""
