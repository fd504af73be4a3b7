"""The daemon's loop, ledger and recovery in a world made of seeds: broker, disk and clock fail on command.

One thread, no socket, no waiting. Real: `DataLoop`, `Publisher`, `Pipeline`, `Decoder`, `Ledger`, checkpoints and
`recover`. BatchResult here: the broker and the link to it (`broker`, `link`), the clock, and what the disk refuses
(`points`). `world.run(seed)` lives one story; `python -m simulation --seeds 10000` lives many.
"""
