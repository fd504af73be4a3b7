"""The shipped core in a world made of seeds: broker, disk and clock fail on command.

One thread, no socket, no waiting. Real: `loop.core.Core` with everything in it, the ledger, checkpoints, backups and
the control socket's commands. Made here: the broker and the link to it (`broker`, `link`), the clock, and what the
disk refuses (`points`). `story.run(seed)` lives one story, `ending` looks at what remains of it;
`python -m simulation --seeds 10000` lives many.
"""
