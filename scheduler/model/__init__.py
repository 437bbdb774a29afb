"""Pure values: what a cluster, a gang and a plan are. No I/O, no clock, nothing mutable."""
