"""The learner beside the daemon: units, keeper, and end to end."""
