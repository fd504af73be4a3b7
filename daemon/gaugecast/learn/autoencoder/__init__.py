"""The LSTM autoencoder as a detector: windows are squeezed into one vector and rebuilt; a large error is an alarm.

`gaugecast autoencoder` fits it to rows that are taken as usual (fitting) and saves it (saved), `gaugecast backtest`
scores it where rows are labelled (judging) and draws what it saw (page). The weights stay as they were fitted: a
detector that goes on learning learns the fault.
Source: Malhotra et al. 2016, "LSTM-based Encoder-Decoder for Multi-sensor Anomaly Detection".
"""
