"""Clusters of fakes: ingests, partitions, nodes that die, sleep and come back, told again by their seed."""
