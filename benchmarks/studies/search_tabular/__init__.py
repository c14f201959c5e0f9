"""Samplers on public tables of trained networks; see `__main__`."""
