"""How good forecasts were: a stream's `course`, simple forecasters to beat, and figures of errors."""
