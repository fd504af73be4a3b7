"""What an operator copies from deploy/, held against the daemon that it is for."""
