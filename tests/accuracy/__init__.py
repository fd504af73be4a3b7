"""`make accuracy`: forecasts of public series by the shipped code, beside simple forecasters and papers."""
