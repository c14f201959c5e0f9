"""One step of the platform per file; `python -m jobs` lists and runs them."""
