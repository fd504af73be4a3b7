"""The demo: simulated tanks, a broker, and the daemon as its own process.

`tanks` says what is simulated, `stage` starts and ends it all, `cli/demo_screen` shows it, `pretrain` makes the
model that ships for it. Nothing else in the package knows this folder but those two in `cli`.
"""
