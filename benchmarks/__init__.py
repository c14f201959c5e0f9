"""Speed, memory, and what methods are worth, measured: `python -m benchmarks.speed.NAME`, `benchmarks.studies.NAME`."""
