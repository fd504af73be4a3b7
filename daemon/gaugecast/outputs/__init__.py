"""The shapes of messages: what is said of a step as flat JSON, single numbers, line protocol, or a batch. Pure."""
