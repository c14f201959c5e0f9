"""Reads a day's examples as one rank of a group does, without a model: `--ranks 64` encodes only its own slice."""

import argparse
import json
import time
from datetime import date

from config import load_config
from data.batches.foundation import foundation_batches


def main() -> None:
    """Prints the seconds of a pass, which the batches of a GPU cannot be faster than."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--day", type=date.fromisoformat, required=True, help="whose examples are read")
    parser.add_argument("--ranks", type=int, default=1, help="that share a batch (default 1)")
    a = parser.parse_args()
    config = load_config()
    started, used = time.monotonic(), time.process_time()
    rows = sum(examples.size for examples in foundation_batches(config, a.day, rank=0, world_size=a.ranks))
    figures = {"rows": rows, "seconds": time.monotonic() - started, "cpu_seconds": time.process_time() - used}
    print(json.dumps(figures), flush=True)


if __name__ == "__main__":
    main()
