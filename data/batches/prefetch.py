"""Prepares the next batches while the current one is learnt."""

import queue
import threading
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


def prefetched(items: Iterable[T], *, ahead: int = 4) -> Iterator[T]:
    """Yields the items in their order; a thread makes up to `ahead` of them beforehand.

    An error of the source is raised where its item would have come. Leaving the loop early ends the thread.
    """
    ready: queue.Queue[tuple[T | None, BaseException | None]] = queue.Queue(maxsize=ahead)
    left = threading.Event()

    def put(entry: tuple[T | None, BaseException | None]) -> bool:
        while not left.is_set():
            try:
                ready.put(entry, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def fill() -> None:
        error: BaseException | None = None
        try:
            for item in items:
                if not put((item, None)):
                    return
        except BaseException as raised:  # handed on to the loop, which raises it
            error = raised
        put((None, error or StopIteration()))

    thread = threading.Thread(target=fill, name="prefetch", daemon=True)
    thread.start()
    try:
        while True:
            item, error = ready.get()
            if isinstance(error, StopIteration):
                return
            if error is not None:
                raise error
            yield item  # type: ignore[misc]  # an entry without error has an item
    finally:
        left.set()
        thread.join()
