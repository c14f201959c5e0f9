"""The networks: pure modules without I/O."""
