"""The demo: simulated tanks, a broker, the daemon as its own process, and a screen to see it at work.

`tanks` says what is simulated, `stage` starts and ends it all, `screen` shows it, `pretrain` makes the model that
ships for it. Nothing else in the package knows this folder but `cli/demo.py`.
"""
