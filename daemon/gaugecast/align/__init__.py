"""From readings at event times to steps at ticks: which readings count, to which tick they belong, what is missing."""
