"""Forecasts at listed instants: a linear expert for each, what is made of the experts, and how sure one may be.

Pure, vectorised over streams, O(1) a step. A row is one feature of one stream and stands for itself: everything is
element-wise or a sum along the row's own axis, so no bit depends on who travels along. A horizon learns when its target
is there and not a step earlier.
"""
