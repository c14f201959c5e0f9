"""Architecture graphs: what a network can be built of, operation by operation."""
