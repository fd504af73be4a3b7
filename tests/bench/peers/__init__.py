"""The peers, each a process: `python -m bench.peers.NAME PORT QOS` takes `load/…` and answers on `echo/…` until killed.

When it has subscribed it says so on `ready`.
"""
