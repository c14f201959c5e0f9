"""Days that are done, for tests of what follows a day: one table stands for all of them."""

import json
from datetime import date

import pyarrow as pa

import storage
from config import PlatformConfig
from storage.status import contents


def finish(config: PlatformConfig, *days: str) -> None:
    """Makes days done: a table, and a report made from it."""
    for day in map(date.fromisoformat, days):
        storage.write_partition(config, "events", day, pa.table({"a": [1]}))
        folder = storage.report_dir(config, day)
        folder.mkdir(parents=True)
        summary = {"made_from": contents(config, day, ["events"]), "skipped": None}
        (folder / storage.SUMMARY).write_text(json.dumps(summary))
