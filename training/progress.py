"""Progress of long loops: a bar on a terminal, a log line every few seconds elsewhere."""

import logging
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from math import log
from typing import TypeVar

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

LOG = logging.getLogger("headwater")
T = TypeVar("T")
LOG_EVERY_S = 10.0


class RecentNE:
    """NE over the newest batches: their mean loss over the entropy of their click rate."""

    def __init__(self, batches: int = 200) -> None:
        self._sums: deque[tuple[float, float, int]] = deque(maxlen=batches)

    def add(self, loss: float, clicks: float, examples: int) -> None:
        """Adds a batch; loss and clicks are sums over its examples."""
        self._sums.append((loss, clicks, examples))

    def value(self) -> float | None:
        """Returns the NE; None until there is a click and an impression without one."""
        loss, clicks, examples = (sum(values) for values in zip(*self._sums, strict=True)) if self._sums else (0, 0, 0)
        if not 0 < clicks < examples:
            return None
        rate = clicks / examples
        return loss / examples / -(rate * log(rate) + (1 - rate) * log(1 - rate))


def track(
    items: Iterable[T],
    what: str,
    *,
    size: int,
    total: int | None = None,
    done: int = 0,
    status: Callable[[], str] = str,
) -> Iterator[T]:
    """Yields the items and shows how many examples have passed, how fast, and when the rest will have.

    Args:
        items: batches.
        what: what is done with them, for people.
        size: examples a batch holds.
        total: examples there are, where known.
        done: of them already done by an earlier attempt.
        status: more to show.
    """
    started = last = time.monotonic()
    count = 0
    terminal = sys.stderr.isatty()
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, disable=not terminal, transient=True) as progress:
        task = progress.add_task(what, total=total, completed=done, rate="")
        for item in items:
            yield item
            count += size
            now = time.monotonic()
            if not terminal and now - last <= LOG_EVERY_S:
                continue
            speed = count / (now - started)
            rate = f"{done + count:,} examples, {speed:,.0f}/s {status()}"
            progress.update(task, completed=min(done + count, total or done + count), rate=rate)
            if not terminal:
                left = f", {max(0, total - done - count) / speed:,.0f} s left" if total else ""
                LOG.info("%s: %s%s", what, rate, left)
                last = now
    LOG.info("%s: %s examples in %.1f s", what, f"{count:,}", time.monotonic() - started)
