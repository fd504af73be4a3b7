"""The learner: its parts, the daemon beside it, and both end to end."""
