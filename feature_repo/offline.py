"""Which files Feast reads: sets of links to the committed snapshots, each as the lake was when it was made.

Feast's DuckDB store takes one path, with `*` in it, for all days of a table. DuckDB expands it, and opens its files,
more than once a query. In the lake such a path would find old and new versions of a day together; a folder whose files
are replaced would give a query the footer of one file and the rows of another. So Feast is given a set that never
changes, and `register` names the next one. The set before is kept until then: a store opened earlier still reads it.
"""

import os
import shutil
from collections.abc import Sequence
from glob import escape
from pathlib import Path

import storage
from config import PlatformConfig

PATTERN = "*.parquet"


def link_snapshots(config: PlatformConfig, tables: Sequence[str]) -> Path:
    """Makes a set of every committed day of some tables; returns its folder.

    A file is a link to one of the lake, and takes no room of its own: `<set>/<table>/<day>.<version>.<file>`.
    """
    folder = storage.offline_dir(config) / storage.new_name()
    for table in tables:
        (folder / table).mkdir(parents=True)
        for day in storage.committed_days(config, table):
            manifest = storage.peek_manifest(config, table, day)  # what a job makes of the set, it records by itself
            for file in storage.parquet_files(config, table, day, manifest):
                _link(file, folder / table / f"{day}.{file.parent.name}.{file.name}")
    return folder


def files_of(folder: Path, table: str) -> str:
    """Returns the pattern of a table's files in a set, as Feast registers it."""
    return escape(str(folder / table)) + f"/{PATTERN}"


def set_of(pattern: str) -> str:
    """Returns the name of the set that a registered pattern is of."""
    return Path(pattern).parent.parent.name


def remove_old_sets(config: PlatformConfig, newest: Path, kept: Sequence[str]) -> None:
    """Removes the sets older than the newest, but for those that are kept, by name."""
    for folder in storage.offline_dir(config).iterdir():
        if folder.name < newest.name and folder.name not in kept:
            # Hidden first: a pattern then finds all of a set or nothing, and never the half that is not yet removed.
            hidden = folder if folder.name.startswith(".") else folder.rename(folder.with_name(f".{folder.name}"))
            shutil.rmtree(hidden)


def _link(file: Path, target: Path) -> None:
    try:
        os.link(file, target)
    except OSError:  # a file system without links, or another one
        shutil.copyfile(file, target)
