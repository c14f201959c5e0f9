"""Items in memory: which are read, and how old what is returned may be."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.vertical.batch import Items
from serving import item_cache
from serving.item_cache import TTL_S, ItemCache

NAMES = [None, *"abcdef"]


class Store:
    """Items whose features tell who they are and when they were read."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.asked: list[list[str | None]] = []

    def read(self, ids: list[str | None]) -> Items:
        assert len(set(ids)) == len(ids)
        self.asked.append(ids)
        numbers = torch.tensor([NAMES.index(name) for name in ids], dtype=torch.int64)
        return Items(torch.full((len(ids), 1), self.now), numbers.unsqueeze(1), torch.zeros(len(ids), 2))


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(item_cache, "CAPACITY", 4)


def cache_on(store: Store) -> ItemCache:
    return ItemCache(store.read, clock=lambda: store.now)


def test_an_item_is_read_once_and_again_when_its_time_is_over() -> None:
    store = Store()
    cache = cache_on(store)
    cache.items(["a", "b", "a"])
    cache.items(["b", None])
    store.now += TTL_S / 2 - 1
    cache.items(["a", "b", "c"])
    assert store.asked == [["a", "b"], [None], ["c"]]
    store.now += TTL_S / 2 + 1
    assert cache.items(["a", "b"]).dense.unique().item() == store.now


def test_items_that_were_read_together_are_not_all_read_again_together() -> None:
    store = Store()
    cache = ItemCache(
        lambda ids: Items(
            torch.zeros(len(ids), 1), torch.zeros(len(ids), 1, dtype=torch.int64), torch.zeros(len(ids), 1)
        ),
        clock=lambda: store.now,
    )
    cache.items([str(number) for number in range(1000)])
    times = sorted(cache.expires.values())
    assert times[0] < store.now + 0.52 * TTL_S and times[-1] > store.now + 0.98 * TTL_S
    assert all(store.now + TTL_S / 2 <= at <= store.now + TTL_S for at in times)


@pytest.mark.usefixtures("small")
def test_when_it_is_full_the_items_read_longest_ago_go_but_not_those_asked_for() -> None:
    store = Store()
    cache = cache_on(store)
    cache.items(["a", "b", "c", "d"])
    cache.items(["a", "e"])
    cache.items(["a", "c", "d", "e"])
    assert store.asked == [["a", "b", "c", "d"], ["e"]]  # b has gone
    assert len(cache.rows) == 4 and not cache.free


@settings(deadline=None, max_examples=100)
@given(st.lists(st.tuples(st.lists(st.sampled_from(NAMES), max_size=6), st.floats(0, TTL_S)), max_size=12))
def test_every_item_is_itself_and_no_older_than_promised(steps: list[tuple[list[str | None], float]]) -> None:
    store, most = Store(), item_cache.CAPACITY
    item_cache.CAPACITY = 6
    try:
        cache = cache_on(store)
        for ids, passed in steps:
            store.now += passed
            if len(set(ids)) > 6:
                continue
            items = cache.items(ids)
            assert items.sparse[:, 0].tolist() == [NAMES.index(name) for name in ids]
            assert ((store.now - items.dense <= TTL_S) & (store.now >= items.dense)).all()
            assert len(cache.rows) + len(cache.free) == 6 and cache.rows.keys() == cache.expires.keys()
    finally:
        item_cache.CAPACITY = most
