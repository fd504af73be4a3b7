"""What turns rows into forecasts: input recipe, experts, skill and message bodies. Pure NumPy, no I/O."""
