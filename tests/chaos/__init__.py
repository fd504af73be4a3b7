"""kill -9 against the real daemon on a real broker, at full rate: what must never happen, counted.

`python -m chaos --kills 25` (PYTHONPATH=tests:daemon:simulators) writes build/chaos.json and ends with 1 if anything
was lost, stepped twice, different, or unaccounted for, or if a mutant came through unseen.
"""
