"""The simulators' command line: `python -m gaugecast_sim`."""

from gaugecast_sim.commands import app

if __name__ == "__main__":
    app(prog_name="python -m gaugecast_sim")
