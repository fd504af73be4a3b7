"""Everything that pretends to be a plant: tank physics, faults, CSV replay, load, a counting subscriber, a broker.

Nothing here imports gaugecast: the simulators know the daemon only over MQTT, as a real plant would.
"""
