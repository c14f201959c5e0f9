"""What a job has read, recorded by the reader itself, so that what is read and what is written down cannot differ.

A job is a process, and reads from more than one thread: the record belongs to the process, not to a thread.
"""

from collections.abc import Iterator
from contextlib import contextmanager

Reads = dict[str, str]  # `table/ds=day` -> hash of the content read
_open: list[Reads] = []


@contextmanager
def recorded_reads() -> Iterator[Reads]:
    """Records every partition read until the block ends; partitions committed meanwhile name them as their inputs.

    Decorates the `main` of each job that commits partitions.

    Yields:
        The record, which grows as partitions are read.
    """
    reads: Reads = {}
    _open.append(reads)
    try:
        yield reads
    finally:
        _open.remove(reads)


def record(name: str, content_hash: str) -> None:
    """Records that a partition, `table/ds=day`, was read with this content."""
    for reads in _open:
        reads[name] = content_hash


def reads_so_far() -> Reads:
    """Returns what the innermost job has read; nothing outside of one."""
    return dict(_open[-1]) if _open else {}
