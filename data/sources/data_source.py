"""What a data source is: each module beside this one makes one."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Literal

import polars as pl

import storage
from config import PlatformConfig, Source
from data.schema import Schema


@dataclass(frozen=True)
class FileChange:
    """A file whose rows of a day are not those that were read when the day was landed."""

    name: str  # below the source's path
    what: Literal["new", "changed", "gone"]


@dataclass(frozen=True)
class DataSource:
    """A log that the platform reads; errors of its functions say what is missing and where to get it."""

    name: str  # what `data_source` in platform.yaml calls it
    about: str  # what the data are and where they come from, a sentence shown wherever results are
    schema: Callable[[Source], Schema]  # the features
    fetch: Callable[[PlatformConfig], None]  # makes the files available, or says what is missing
    # The raw rows of a platform day's window under the names of the common schema, without `vertical`, not yet checked.
    read: Callable[[PlatformConfig, date], pl.DataFrame]
    # Impression_id and probability of a click in the order of `read`, where the log is generated.
    true_probability: Callable[[PlatformConfig, date], pl.DataFrame] | None = None
    # Says where the log's rows are instead, for a day of which `read` returned none.
    why_nothing: Callable[[PlatformConfig, date], str] | None = None
    # Says of each landed day, given with the files that it was read from, which of them are no longer as they were.
    changed_files: (
        Callable[[PlatformConfig, Mapping[date, Mapping[str, storage.FileRead]]], dict[date, list[FileChange]]] | None
    ) = None
