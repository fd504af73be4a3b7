"""What a fleet's streams keep when their features change: their names, numbers, and what was taken of them."""

from __future__ import annotations

from gaugecast.fleet import Fleet
from gaugecast.pipeline.meaning import keyed
from gaugecast.streams.table import StreamTable


def take_over_names(table: StreamTable, fleet: Fleet, *, old_table: StreamTable, old: Fleet) -> None:
    """Give an empty table the streams of the one before, with step numbers, silence, and keys of features that stay."""
    old_places = {f.name: i for i, f in enumerate(old.features)}
    same_keys = keyed(old) == keyed(fleet)
    places = [(i, old_places[f.name]) for i, f in enumerate(fleet.features) if f.name in old_places]
    for stream, slot in old_table.slots.items():
        mine = table.add(stream)
        for name in ("step", "at", "received", "stale"):  # silence goes on to be counted from the last reading
            table[name][mine] = old_table[name][slot]
        for new, before in places if same_keys else []:
            table["key"][mine, new] = old_table["key"][slot, before]
