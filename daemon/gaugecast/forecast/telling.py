"""What a message beside forecasts says of what it tells, a crossing or an anomaly: begin, update or end."""

from __future__ import annotations

BEGIN, UPDATE, END = range(3)
EVENTS = ("begin", "update", "end")
