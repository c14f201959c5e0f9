"""The passes over sorted batches, without Spark, against the naive computation."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config import Features
from data.features import point_in_time
from data.features.packing import unpack
from data.features.point_in_time import (
    IN_DAY,
    Lookback,
    Timeline,
    snapshots,
    whole_groups,
    with_item_counts,
    with_user_features,
)
from tests.naive_features import SCHEMA, events_table, naive_activity, naive_example, plain, random_events

START = datetime(2026, 1, 1, tzinfo=UTC)


def lookback(features: Features, delay_s: int) -> Lookback:
    return Lookback(tuple(features.windows_days), features.history_days, features.history_length, delay_s * 1_000_000)


def by(key: str, table: pa.Table) -> list[pa.RecordBatch]:
    order = [(key, "ascending"), ("event_timestamp", "ascending"), ("impression_id", "ascending")]
    return table.sort_by(order).to_batches(max_chunksize=7)


@given(
    seed=st.integers(0, 2**32 - 1),
    num_rows=st.integers(1, 60),
    delay_steps=st.tuples(st.integers(0, 9), st.integers(0, 9)),
    history_length=st.integers(1, 5),
    chunk_rows=st.integers(1, 40),
)
@settings(max_examples=60, deadline=None, derandomize=True)
def test_equals_the_naive_computation(
    seed: int, num_rows: int, delay_steps: tuple[int, int], history_length: int, chunk_rows: int
) -> None:
    step_s = 6 * 3600  # the grid of random_events: delays and windows fall exactly on events
    features = Features(
        windows_days=[1, 2],
        history_days=3,
        history_length=history_length,
        user_delay_s=delay_steps[0] * step_s,
        item_delay_s=delay_steps[1] * step_s,
    )
    rng = np.random.default_rng(seed)
    events = random_events(rng, num_rows, START, 8)
    day_starts = START + timedelta(days=4)
    user, item = lookback(features, features.user_delay_s), lookback(features, features.item_delay_s)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(point_in_time, "SLICE_ROWS", 5)
        patch.setattr(point_in_time.whole_groups, "__kwdefaults__", {"rows": chunk_rows})
        table = events_table(events)
        in_day = pa.array([t >= day_starts for t in table["event_timestamp"].to_pylist()])
        table = table.append_column(IN_DAY, in_day)
        counted = list(with_item_counts(by("item_id", table), schema=SCHEMA, lookback=item))
        past = table.filter(pa.compute.invert(in_day))
        day = [pa.Table.from_batches([b]).append_column(IN_DAY, pa.array([True] * len(b))) for b in counted]
        both = pa.concat_tables([past, *day], promote_options="default")
        columns = point_in_time.examples_schema(SCHEMA, user)
        described = with_user_features(by("user_id", both), schema=SCHEMA, lookback=user)
        found = [row for batch in described for row in unpack(batch, columns).to_pylist()]
        expected = [naive_example(e, events, SCHEMA, features) for e in events if e["event_timestamp"] >= day_starts]
        assert plain(sorted(found, key=_id)) == plain(sorted(expected, key=_id))

        instants = [START + timedelta(days=n) for n in (2, 5, 20)]
        microseconds = [int(i.timestamp()) * 1_000_000 for i in instants]
        for entity, back in (("user", user), ("item", item)):
            columns = point_in_time.activity_schema(entity, SCHEMA, back)
            batches = snapshots(
                by(f"{entity}_id", table), entity=entity, instants=microseconds, schema=SCHEMA, lookback=back
            )
            found = [row for batch in batches for row in unpack(batch, columns).to_pylist()]
            assert plain(found) == plain(naive_activity(entity, instants, events, SCHEMA, features))


def _id(row: dict) -> str:
    return row["impression_id"]


def test_no_group_is_cut_whatever_the_batches() -> None:
    keys = ["a"] * 3 + ["b"] * 9 + ["c"] + ["d"] * 2
    table = pa.table({"key": keys, "row": range(len(keys))})
    for size in (1, 2, 4, 20):
        tables = list(whole_groups(table.to_batches(max_chunksize=size), "key", rows=4))
        assert pa.concat_tables(tables).equals(table.combine_chunks())
        groups = [set(t["key"].to_pylist()) for t in tables]
        assert sum(map(len, groups)) == 4, "a group lies in two tables"


def test_a_very_active_user_is_described_in_slices() -> None:
    num = 100_000
    times = pa.array(np.arange(num) * 1_000_000, pa.int64()).cast(pa.timestamp("us", tz="UTC"))
    nulls = {field.name: pa.nulls(num, field.type) for field in SCHEMA.events()}
    table = pa.table(
        nulls
        | {"user_id": pa.array(["u"] * num), "item_id": pa.array([f"x{n % 9}" for n in range(num)])}
        | {"event_timestamp": times, "label": pa.array(np.arange(num) % 2, pa.int32()), IN_DAY: [True] * num}
    )
    back = Lookback((1,), 30, 50, 0)
    for name in SCHEMA.item_counts([1]):
        table = table.append_column(name, pa.array(np.zeros(num, np.float32)))
    largest = count = 0
    for batch in with_user_features(table.to_batches(max_chunksize=9_000), schema=SCHEMA, lookback=back):
        largest, count = max(largest, batch.nbytes), count + batch.num_rows
    assert count == num
    assert largest < 16e6, f"one batch takes {largest / 1e6:.0f} MB"


def test_groups_that_do_not_fit_64_bits_are_refused() -> None:
    groups, times = np.array([0, 10**6]), np.array([0, 10**13])
    with pytest.raises(ValueError, match="do not fit 64 bits"):
        Timeline(groups, times)
