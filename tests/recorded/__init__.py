"""Ledgers that earlier versions wrote, and what made them; see README.md."""
