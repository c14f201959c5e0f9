"""Every path and registry name."""

import re
from datetime import date
from pathlib import Path

from config import ROOT, PlatformConfig


def source_root(config: PlatformConfig) -> Path:
    """Returns the folder of everything kept for the chosen data source."""
    return ROOT / config.storage.root / config.data_source


def cache_dir(config: PlatformConfig) -> Path:
    """Returns the folder of downloaded source files."""
    return ROOT / config.storage.cache


def table_dir(config: PlatformConfig, table: str) -> Path:
    """Returns the folder of a table's partitions, where the lake is of folders."""
    return source_root(config) / "lake" / table


def partition_path(table: str, day: date) -> str:
    """Returns a partition's path in the lake, by which it is also named as an input."""
    return f"{table}/ds={day}"


def partition_dir(config: PlatformConfig, table: str, day: date) -> Path:
    """Returns the folder of one partition's manifest and versions, where the lake is of folders.

    `partition_folder` finds the version to read, wherever the lake is.
    """
    return table_dir(config, "") / partition_path(table, day)


def copies_dir(config: PlatformConfig) -> Path:
    """Returns the folder of this machine's copies of partitions, where the lake is in S3."""
    return source_root(config) / "lake_copies"


def feast_dir(config: PlatformConfig) -> Path:
    """Returns the folder of Feast's registry and online store."""
    return source_root(config) / "feast"


def offline_dir(config: PlatformConfig) -> Path:
    """Returns the folder of the sets of files that Feast reads histories from."""
    return feast_dir(config) / "offline"


def feature_repo_dir(config: PlatformConfig) -> Path:
    """Returns the folder whose feature_store.yaml describes the Feast store of the chosen source."""
    return ROOT / config.storage.feature_repo


def mlflow_dir(config: PlatformConfig) -> Path:
    """Returns the folder of MLflow's database and artifacts."""
    return source_root(config) / "mlflow"


def airflow_home(config: PlatformConfig) -> Path:
    """Returns the folder of Airflow's passwords, and of its database where that is a file."""
    return source_root(config) / "airflow"


def docs_dir(config: PlatformConfig) -> Path:
    """Returns the folder of pages for people: run reports and Great Expectations' Data Docs."""
    return source_root(config) / "docs"


def report_dir(config: PlatformConfig, day: date) -> Path:
    """Returns the folder of a day's report: index.html and summary.json. The day is done once it is there."""
    return docs_dir(config) / "reports" / f"ds={day}"


def checkpoint_dir(config: PlatformConfig, job: str, day: date) -> Path:
    """Returns the folder where a long job keeps the checkpoint that a retry continues from."""
    return source_root(config) / "checkpoints" / f"{job}.ds={day}"


def failure_dir(config: PlatformConfig, what: str) -> Path:
    """Returns the folder for what a failed step leaves to be inspected."""
    return source_root(config) / "failures" / _folder_name(what)


def study_dir(config: PlatformConfig, study: str) -> Path:
    """Returns the folder of a search: what it is, its trials, its result."""
    return studies_dir(config) / study


def studies_dir(config: PlatformConfig) -> Path:
    """Returns the folder of all searches of the chosen data source."""
    return source_root(config) / "studies"


def audience_dir(config: PlatformConfig, vertical: str, name: str) -> Path:
    """Returns the folder of an audience, among the pages for people.

    Raises:
        ValueError: the name has no letter and no digit.
    """
    folder = _folder_name(name)
    if not folder:
        raise ValueError(f"an audience cannot be named {name!r}: give it a name of letters and digits")
    return docs_dir(config) / "audiences" / vertical / folder


def study_page(config: PlatformConfig, study: str) -> Path:
    """Returns the page of a search, among those for people."""
    return docs_dir(config) / "searches" / study / "index.html"


def registered_model(vertical: str) -> str:
    """Returns a vertical model's name in the MLflow registry."""
    return f"vertical_{vertical}"


def _folder_name(words: str) -> str:
    """Returns the letters and digits of some words, joined by dashes."""
    return "-".join(re.findall(r"[a-z0-9]+", words.lower()))
