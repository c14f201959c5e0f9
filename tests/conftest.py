"""Fixtures shared by all tests."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from config import PlatformConfig, load_config

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as python -m jobs sets it; before torch is imported


@pytest.fixture
def tiny_config(tmp_path: Path) -> PlatformConfig:
    """Returns the shipped platform on a small synthetic log, kept in a temporary folder."""
    config = load_config(Path(__file__).parent.parent / "platform.yaml")
    return config.changed(
        data_source="synthetic",
        sources={"synthetic": {"events_per_day": 600, "bootstrap_days": 2}},
        storage={"root": str(tmp_path / "state"), "feature_repo": str(tmp_path / "feature_repo")},
    )


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator["SparkSession"]:
    """Yields the one Spark session of all tests; jobs that run inside a test find and use it."""
    from data.features.spark import spark_session

    config = load_config(Path(__file__).parent.parent / "platform.yaml")
    root = str(tmp_path_factory.mktemp("spark"))
    runtime = {"spark_memory": "1g", "spark_master": "local[2]"}
    session = spark_session(config.changed(storage={"root": root}, runtime=runtime))
    yield session
    session.stop()
