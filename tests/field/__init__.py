"""What devices in the field really send, and what is right to make of it."""
