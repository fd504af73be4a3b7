"""What turns rows into forecasts: input recipe, experts, intervals, skill and quality. Pure NumPy, no I/O."""
