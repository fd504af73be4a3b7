"""The learner: trains the fleets' models with TensorFlow, in a process of its own. The data loop imports none of it."""
