"""What is remembered of each stream: one slot a stream, struct-of-arrays, grown by doubling."""
