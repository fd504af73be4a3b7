"""What forecasts: everything that the daemon, the simulation and a cluster's partition have in common.

`core.Core` puts it together; `protocol` is the commit protocol, in one module that reads from top to bottom. Around
it: `publisher` sends what was committed, `checkpointing` and `recovery` keep state and bring it back, `clock` stamps
what arrives, `poison_guard` takes care of messages on which processes died, `orders` and `model_roles` change the
rules, `engines` loads what is slow to load. `ports` says what all this needs of the world.
"""
