"""Progress of long loops: a bar on a terminal, a log line every few seconds elsewhere."""

import logging
import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

LOG = logging.getLogger("headwater")
T = TypeVar("T")
LOG_EVERY_S = 10.0


def track(items: Iterable[T], what: str, *, size: int) -> Iterator[T]:
    """Yields the items and shows how many examples have passed and how fast.

    Args:
        items: batches.
        what: what is done with them, for people.
        size: examples a batch holds.
    """
    started = last = time.monotonic()
    count = 0
    terminal = sys.stderr.isatty()
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[rate]}"), TimeElapsedColumn())
    with Progress(*columns, disable=not terminal, transient=True) as progress:
        task = progress.add_task(what, total=None, rate="")
        for item in items:
            yield item
            count += size
            now = time.monotonic()
            rate = f"{count:,} examples, {count / (now - started):,.0f}/s"
            progress.update(task, advance=1, rate=rate)
            if not terminal and now - last > LOG_EVERY_S:
                LOG.info("%s: %s", what, rate)
                last = now
    LOG.info("%s: %s examples in %.1f s", what, f"{count:,}", time.monotonic() - started)
