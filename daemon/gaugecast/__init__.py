"""gaugecast: forecasts sensor streams where they flow.

Readings come from an MQTT broker, one stateful LSTM a stream steps with each of them, forecasts go back.
The way of one reading: `mqtt` → `payloads` → `align` → `streams`/`engine` → `forecast` → `ledger` → `mqtt`.
"""

__version__ = "0.1.0"
