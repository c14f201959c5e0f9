"""One step of the platform per file; `python -m jobs` lists and runs them."""

UNDECIDED = "undecided"  # in a job's result: what a person must decide first; where there is any, the exit code is 1
