"""Days that are done, for tests of what follows a day: every table of them has one row."""

import json
from datetime import date

import pyarrow as pa

import storage
from config import PlatformConfig
from storage.status import needed_tables


def finish(config: PlatformConfig, *days: str) -> None:
    """Makes days done: their tables, and a report made from them."""
    for day in map(date.fromisoformat, days):
        for table in needed_tables(config, day, config.verticals):
            storage.write_partition(config, table, day, pa.table({"a": [1]}))
        folder = storage.report_dir(config, day)
        folder.mkdir(parents=True)
        summary = {"day": str(day)} | storage.report_status(config, day, config.verticals)
        (folder / storage.SUMMARY).write_text(json.dumps(summary))
