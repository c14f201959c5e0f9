"""What of a foundation model's knowledge reaches its vertical models, and by which way; see `__main__`."""
