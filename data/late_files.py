"""Files of the log that came, changed or went after the day that they are of was landed."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import storage
from config import PlatformConfig
from data.sources import chosen_source
from data.sources.data_source import FileChange

NAMED = 5  # files spelled out of each kind; the rest are counted


def late_files(config: PlatformConfig, days: Sequence[date]) -> dict[date, list[FileChange]]:
    """Finds what is no longer as ingest read it, by day; days that are as they were, or not landed, are left out.

    A file whose size and modification time are those of when it was read is not opened; of any other, the rows count.
    Nothing is known of sources that are not read file by file, and of days landed by an earlier version.
    """
    changed = chosen_source(config).changed_files
    if changed is None:
        return {}
    landed = {day: files for day in days if (files := _files_read(config, day)) is not None}
    return {day: changes for day, changes in changed(config, landed).items() if changes}


def in_words(changes: Sequence[FileChange]) -> str:
    """Says which files are new, have changed, or are gone."""
    told = []
    for what in ("new", "changed", "gone"):
        names = [change.name for change in changes if change.what == what]
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        if names:
            told.append(f"{what}: {', '.join(names[:NAMED])}{more}")
    return "; ".join(told)


def _files_read(config: PlatformConfig, day: date) -> Mapping[str, storage.FileRead] | None:
    if not storage.has_partition(config, "events", day):
        return None
    files: Mapping[str, Any] | None = storage.peek_manifest(config, "events", day).get("files")
    return None if files is None else {name: storage.FileRead(**read) for name, read in files.items()}
