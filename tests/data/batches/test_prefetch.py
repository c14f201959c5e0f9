"""Batches made beforehand come in their order; errors and early ends reach both sides."""

import threading
import time
from collections.abc import Iterator

import pytest

from data.batches.prefetch import prefetched


def test_items_keep_their_order():
    assert list(prefetched(range(100), ahead=3)) == list(range(100))


def test_an_error_comes_where_its_item_would_have():
    def source() -> Iterator[int]:
        yield 1
        raise OSError("disk gone")

    taken = []
    with pytest.raises(OSError, match="disk gone"):
        for item in prefetched(source()):
            taken.append(item)
    assert taken == [1]


def test_no_more_than_asked_for_is_made_beforehand_and_leaving_ends_the_thread():
    made = []

    def source() -> Iterator[int]:
        for n in range(1000):
            made.append(n)
            yield n

    before = threading.active_count()
    items = prefetched(source(), ahead=2)
    next(items)
    time.sleep(0.3)
    assert len(made) <= 5
    items.close()  # type: ignore[attr-defined]  # a generator
    assert threading.active_count() == before
