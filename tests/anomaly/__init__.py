"""Detectors of anomalies, apart from the pipeline."""
