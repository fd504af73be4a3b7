"""`make bench`: speed and size against peers, measured in one run on this machine. `python -m bench [GROUP …]`."""
