"""Searching for settings: `search` trains and judges again and again, `report` shows what each buys and costs."""
