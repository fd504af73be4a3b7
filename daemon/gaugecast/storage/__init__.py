"""The state directory: its lock, checkpoints with their format and writer, weights, the note of a crash, backups.

Files of ours, each written whole and renamed into place. The ledger, which lies there too, is SQLite's (`ledger`).
"""
