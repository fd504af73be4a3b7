"""When something is wrong: detectors behind one contract, one score of them, events with a begin, a reason and an end.

Each detector gives, for every feature of a stream, a statistic that is divided by its own limit: 1.0 means the same
everywhere. A score is the largest. Limits come from a stretch of the stream that is known, or found, to be healthy.
Pure, element-wise, O(1) a step.
"""
