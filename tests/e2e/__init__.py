"""The daemon from the outside: its own process, a real broker, a consumer that shares no code with it."""
