"""Computes the day's features with Spark: point-in-time counts, click rates and histories.

- **Reads:** `events` of this day and of those that `features.history_days` reaches back to.
- **Writes:** `examples`, `user_activity`, `item_activity`.
"""

import logging
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime
from typing import Any

from pyspark.sql import DataFrame, SparkSession

import storage
from config import PlatformConfig
from data.features import transforms
from data.features.cluster import check_workers
from data.features.parquet_parts import write_parts
from data.features.spark import spark_session
from data.schema import Schema
from data.sources import source_schema

LOG = logging.getLogger(__name__)
ROWS_PER_FILE = 1_000_000
MAX_FILES = 4


@storage.recorded_reads()
def main(config: PlatformConfig, *, day: date) -> dict[str, Any]:
    """Writes the three tables of a platform day; `examples` last, so that with it all are there.

    The lookback reads every platform day that history_days reaches back to.

    Returns:
        rows: rows of each table; seconds: time of each stage.

    Raises:
        PartitionMissing: `events` of the day, or of a day looked back on, was never committed.
        ClusterError: a cluster's master or workers do not answer, or do not see the lake.
    """
    days = storage.days_back(config, day, config.features.history_days)
    for needed in days:  # before Spark takes its time to start
        storage.read_manifest(config, "events", needed)
    schema, instants = source_schema(config), storage.snapshot_ends(config, day)
    seconds: dict[str, float] = {}

    with _stage("start_spark", seconds):
        spark = spark_session(config)
        check_workers(spark, storage.partition_folder(config, "events", day))
    day_events = _read(spark, config, [day], schema)
    past_events = _read(spark, config, days[:-1], schema)
    all_events = day_events.unionByName(past_events)
    features: dict[str, Any] = {"schema": schema, "features": config.features}

    frames = {
        f"{entity}_activity": (
            transforms.activity(entity, all_events, instants, **features),
            transforms.activity_columns(entity, **features),
        )
        for entity in ("user", "item")
    } | {
        "examples": (
            transforms.examples(day_events, past_events, cuts=_cuts(config, day), **features),
            transforms.examples_columns(**features),
        )
    }
    for table, (frame, columns) in frames.items():
        with _stage(table, seconds), storage.commit_partition(config, table, day) as folder:
            spark.sparkContext.setJobDescription(table)
            write_parts(frame, folder, columns)

    return {
        "rows": {table: storage.read_manifest(config, table, day)["rows"] for table in frames},
        "seconds": seconds,
    }


def _read(spark: SparkSession, config: PlatformConfig, days: list[date], schema: Schema) -> DataFrame:
    """Reads the committed events of some days, in no order; no days, no rows."""
    columns = transforms.events_columns(schema)
    if not days:
        return spark.createDataFrame([], columns)
    manifests = {day: storage.read_manifest(config, "events", day) for day in days}
    files = [path for day, found in manifests.items() for path in storage.parquet_files(config, "events", day, found)]
    # Spark takes a path for a pattern; these are names.
    names = [re.sub(r"([{}\[\]*?\\])", r"\\\1", str(file)) for file in files]
    return spark.read.schema(columns).parquet(*names)


def _cuts(config: PlatformConfig, day: date) -> list[datetime]:
    """Computes the times that cut the day's events, which lie in order of time, into the files of `examples`."""
    times = storage.read_partition(config, "events", day, columns=["event_timestamp"])["event_timestamp"]
    num_files = min(MAX_FILES, -(-len(times) // ROWS_PER_FILE))
    return [times[len(times) * n // num_files].as_py() for n in range(1, num_files)]


@contextmanager
def _stage(name: str, seconds: dict[str, float]) -> Iterator[None]:
    LOG.info("stage %s started", name, extra={"stage": name})
    started = time.monotonic()
    yield
    seconds[name] = round(time.monotonic() - started, 1)
    LOG.info("stage %s done", name, extra={"stage": name, "seconds": seconds[name]})
