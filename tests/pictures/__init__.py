"""The pictures of docs/concepts, drawn from runs of the shipped code on the simulated tanks, and the costs there.

PYTHONPATH=tests:daemon:simulators python -m pictures docs/images/concepts
PYTHONPATH=tests:daemon:simulators python -m pictures.cost docs/concepts/words.md
"""
