"""Labelled files through the pipeline, as live streams: what would have been told, and how right that was."""
