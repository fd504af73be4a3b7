"""When a value will be crossed: how likely within which time, and at which instant.

Intervals at single instants do not say when a threshold is first crossed. So it is learned how far a series will have
gone at its farthest, max of x[t+1 … t+h] − x[t], by the same linear experts, and how that was missed. A row is one
threshold of one stream; one that is crossed downwards is looked at upside down. Pure, O(1) a step.
"""
