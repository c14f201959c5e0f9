"""Histories as of any instant, against a written-out search; and nothing of the future in any of them."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from data.batches.impression_history import HOUR_US, ImpressionLog, item_means

EVENTS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5), st.integers(0, 60), st.integers(0, 1)), max_size=40)
ASKED = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 80)), min_size=1, max_size=10)


def log_of(events: list[tuple[int, int, int, int]]) -> tuple[ImpressionLog, np.ndarray]:
    rows = sorted(events, key=lambda e: (e[0], e[2]))
    users, items, hours, labels = (np.array([r[n] for r in rows], np.int64) for n in range(4))
    ids = torch.from_numpy(items).reshape(-1, 1)
    return ImpressionLog(users, hours * HOUR_US, torch.from_numpy(labels.astype(np.float32)), ids), items


@given(EVENTS, ASKED, st.integers(1, 4), st.integers(1, 3), st.integers(0, 5))
@settings(max_examples=200, deadline=None)
def test_slots_are_the_newest_within_reach_and_before_the_delay(events, asked, length, days, delay_h):
    log, _ = log_of(events)
    users, hours = (np.array([a[n] for a in asked], np.int64) for n in range(2))
    slots = log.newest_before(users, hours * HOUR_US, length=length, days=days, delay_us=delay_h * HOUR_US)
    for row, (user, hour) in enumerate(asked):
        fits = [
            n
            for n in range(len(log.users))
            if log.users[n] == user and hour - 24 * days <= log.micros[n] / HOUR_US < hour - delay_h
        ]
        expected = fits[::-1][:length]
        assert slots.positions[row].tolist() == expected + [-1] * (length - len(expected))
        ages = [np.log1p(hour - log.micros[n] / HOUR_US) for n in expected]
        assert slots.ages[row].tolist() == pytest.approx(ages + [0.0] * (length - len(ages)), abs=1e-6)


@given(EVENTS, ASKED, st.integers(1, 4))
@settings(max_examples=100, deadline=None)
def test_only_the_impressions_that_count_fill_slots(events, asked, length):
    log, _ = log_of(events)
    users, hours = (np.array([a[n] for a in asked], np.int64) for n in range(2))
    clicked = np.flatnonzero(log.labels.numpy() == 1)
    some = log.newest_before(users, hours * HOUR_US, length=length, days=9, among=clicked)
    all_ = log.newest_before(users, hours * HOUR_US, length=max(1, len(events)), days=9)
    for row in range(len(asked)):
        expected = [p for p in all_.positions[row].tolist() if p in clicked][:length]
        assert some.positions[row].tolist() == expected + [-1] * (length - len(expected))


@given(EVENTS, ASKED)
@settings(max_examples=100, deadline=None)
def test_item_means_are_of_earlier_impressions(events, asked):
    log, items = log_of(events)
    codes = torch.randn(len(items), 3, generator=torch.Generator().manual_seed(0))
    wanted, hours = (np.array([a[n] for a in asked], np.int64) for n in range(2))
    means = item_means(items, log.micros, codes, asked=wanted, instants=hours * HOUR_US, days=2, delay_us=HOUR_US)
    for row, (item, hour) in enumerate(asked):
        known = [n for n in range(len(items)) if items[n] == item and hour - 48 <= log.micros[n] / HOUR_US < hour - 1]
        expected = codes[known].mean(dim=0) if known else torch.zeros(3)
        torch.testing.assert_close(means[row], expected)


def test_what_comes_later_changes_nothing():
    log, _ = log_of([(0, 1, 1, 1), (0, 2, 2, 0), (0, 3, 3, 1), (0, 4, 4, 1)])
    at = np.array([3 * HOUR_US])
    user = np.zeros(1, np.int64)
    slots = log.newest_before(user, at, length=4, days=2)
    codes = torch.randn(4, 2)
    spoilt = codes.clone()
    spoilt[2:] = 99.0  # at the instant and after it
    item = torch.zeros(1, 2)
    before, after = log.history(slots, codes, item), log.history(slots, spoilt, item)
    assert all(torch.equal(one, other) for one, other in zip(before, after, strict=True))
