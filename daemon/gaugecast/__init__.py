"""gaugecast: forecasts sensor streams where they flow.

Readings come from an MQTT broker, one stateful LSTM a stream steps with each of them, forecasts go back.
The way of one reading: `mqtt` → `payloads` → `align` → `streams`/`engine` → `forecast` → `ledger` → `mqtt`.
"""

import os

# Before NumPy is imported by anyone: a second BLAS thread gains nothing on rows of eight, and may change bits.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

__version__ = "0.1.0"
