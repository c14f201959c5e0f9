"""All foundation-model architectures on the same rows of three logs; see `__main__`."""
