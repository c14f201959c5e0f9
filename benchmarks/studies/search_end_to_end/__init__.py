"""A search against the models that people would take in its place; see `__main__`."""
