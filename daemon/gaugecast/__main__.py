"""`python -m gaugecast` is `gaugecast`."""

from gaugecast.cli import main

main()
