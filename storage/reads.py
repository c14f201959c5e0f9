"""What a job has read, recorded by the reader itself, so that what is read and what is written down cannot differ.

A job is a process, and reads from more than one thread: the record belongs to the process, not to a thread.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field


@dataclass(frozen=True)
class FileRead:
    """A file of the log as it was read."""

    size: int  # bytes
    modified_ns: int  # since 1970
    rows: Mapping[str, str]  # platform day -> hash of the rows that the file has of it; days without rows are left out


@dataclass
class Reads:
    """What one job has read so far."""

    partitions: dict[str, str] = field(default_factory=dict)  # `table/ds=day` -> hash of the content
    files: dict[str, FileRead] | None = None  # by name; None: no log was read whose files are told apart


_open: list[Reads] = []


@contextmanager
def recorded_reads() -> Iterator[Reads]:
    """Records everything read until the block ends; partitions committed meanwhile name it as what they were made from.

    Decorates the `main` of each job that commits partitions.

    Yields:
        The record, which grows as partitions and files are read.
    """
    reads = Reads()
    _open.append(reads)
    try:
        yield reads
    finally:
        _open.remove(reads)


def record(name: str, content_hash: str) -> None:
    """Records that a partition, `table/ds=day`, was read with this content."""
    for reads in _open:
        reads.partitions[name] = content_hash


def record_files(files: Mapping[str, FileRead]) -> None:
    """Records the files of the log, by name, that a day was read from; none where the log had none of it."""
    for reads in _open:
        reads.files = dict(files)


def reads_so_far() -> Reads:
    """Returns what the innermost job has read; nothing outside of one."""
    return deepcopy(_open[-1]) if _open else Reads()
