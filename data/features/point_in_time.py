"""What was known before an instant: window counts, histories and newest attributes from sorted events.

Every function looks up events by binary search in one sorted array, so a window costs the same whatever its
length, and an impression never sees an event at or after its time minus the delay.

Legend: N events of a chunk (whole groups, sorted by group, event_timestamp, impression_id), Q instants asked
for, G groups (users or items). Times are microseconds since 1970.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from data.features.packing import pack
from data.schema import HISTORY_COLUMNS, TIMESTAMP, Schema

Ints = npt.NDArray[np.int64]
CHUNK_ROWS = 65_536  # events looked at together, more only where one group has more
SLICE_ROWS = 8_192  # rows emitted together: bounds the memory that histories take
DAY_US = 86_400_000_000
IN_DAY = "in_day"  # bool column of the input: the row is an impression to describe, not only something to look at


@dataclass(frozen=True)
class Lookback:
    """How far back, and how fresh, the features of one family of entities are."""

    windows_days: tuple[int, ...]
    history_days: int
    history_length: int
    delay_us: int

    @property
    def history_us(self) -> int:
        """Returns how old an event of a history or cross may be, microseconds before the instant."""
        return self.history_days * DAY_US


class Timeline:
    """Finds events of a group by time.

    Args:
        groups: (N,) group number of each event, ascending.
        times: (N,) time of each event, ascending within a group.
    """

    def __init__(self, groups: Ints, times: Ints):
        self._first = int(times.min()) if len(times) else 0
        self._last = int(times.max()) if len(times) else 0
        self._span = self._last - self._first + 2
        if len(groups) and (int(groups[-1]) + 1) * self._span >= 2**63:
            raise ValueError(
                f"{int(groups[-1]) + 1} groups over {self._span} microseconds do not fit 64 bits; "
                "lower CHUNK_ROWS or history_days"
            )
        self._keys = groups * self._span + (times - self._first)

    def position(self, groups: Ints, instants: Ints) -> Ints:
        """Finds the index (Q,) of each group's first event at or after an instant; the group's end if there is none."""
        inside = np.clip(instants, self._first, self._last + 1) - self._first
        return np.searchsorted(self._keys, groups * self._span + inside)

    def window(self, groups: Ints, instants: Ints, *, reach_us: int, delay_us: int) -> tuple[Ints, Ints]:
        """Finds the index ranges [low, high), each (Q,), of events with instant - reach <= time < instant - delay."""
        high = self.position(groups, instants - delay_us)
        return np.minimum(self.position(groups, instants - reach_us), high), high


def window_counts(
    timeline: Timeline, clicks_before: Ints, groups: Ints, instants: Ints, lookback: Lookback
) -> list[pa.Array]:
    """Computes impressions, clicks and click rate (clicks/impressions, 0 without impressions) of every window.

    Args:
        clicks_before: (N + 1,) running sum of labels, 0 first.

    Returns:
        Three float32 arrays (Q,) a window, in the order of Schema.user_counts.
    """
    columns = []
    for days in lookback.windows_days:
        low, high = timeline.window(groups, instants, reach_us=days * DAY_US, delay_us=lookback.delay_us)
        impressions, clicks = high - low, clicks_before[high] - clicks_before[low]
        rate = clicks / np.maximum(impressions, 1)
        columns += [pa.array(values.astype(np.float32)) for values in (impressions, clicks, rate)]
    return columns


class Crosses:
    """Counts of a group's events that share a value with the impression.

    Args:
        groups: (N,) group number of each event, ascending.
        times: (N,) time of each event.
        values: (N,) the value; null, an unknown value, matches nothing.
        labels: (N,) 0 or 1.
    """

    def __init__(self, groups: Ints, times: Ints, values: pa.Array, labels: Ints):
        coded = values.dictionary_encode()
        codes = np.asarray(coded.indices.fill_null(len(coded.dictionary)), dtype=np.int64)
        pairs = groups * (len(coded.dictionary) + 1) + codes
        order = np.argsort(pairs, kind="stable")  # keeps the order of time within a pair
        ranks = _runs(pairs[order])
        self._known = np.asarray(values.is_valid())
        self._rank = np.empty_like(ranks)
        self._rank[order] = ranks
        self._timeline = Timeline(ranks, times[order])
        self._clicks_before = _running_sum(labels[order])

    def counts(self, rows: Ints, instants: Ints, lookback: Lookback) -> list[pa.Array]:
        """Counts impressions and clicks, float32 (Q,), before each instant of the pairs found in `rows` (Q,)."""
        low, high = self._timeline.window(
            self._rank[rows], instants, reach_us=lookback.history_us, delay_us=lookback.delay_us
        )
        known = self._known[rows]
        impressions = np.where(known, high - low, 0)
        clicks = np.where(known, self._clicks_before[high] - self._clicks_before[low], 0)
        return [pa.array(values.astype(np.float32)) for values in (impressions, clicks)]


def histories(timeline: Timeline, events: pa.Table, groups: Ints, instants: Ints, lookback: Lookback) -> list[pa.Array]:
    """Lists item, label and time (Q,) of the newest `history_length` events before each instant, oldest first."""
    low, high = timeline.window(groups, instants, reach_us=lookback.history_us, delay_us=lookback.delay_us)
    low = np.maximum(low, high - lookback.history_length)
    offsets = np.concatenate([[0], np.cumsum(high - low)])
    flat = pa.array(np.arange(offsets[-1]) + np.repeat(low - offsets[:-1], high - low))
    starts = pa.array(offsets.astype(np.int32))
    slots = (events["item_id"], events["label"], _microseconds(events))
    return [
        pa.ListArray.from_arrays(starts, slot.take(flat), type=kind)
        for slot, kind in zip(map(_one, slots), HISTORY_COLUMNS.values(), strict=True)
    ]


def newest_known(values: pa.Array, low: Ints, high: Ints) -> pa.Array:
    """Returns the last value that is not null in each index range [low, high), null where there is none; (Q,)."""
    known = np.where(np.asarray(values.is_valid()), np.arange(len(values)), -1)
    newest = np.maximum.accumulate(known)[high - 1]
    return values.take(pa.array(newest, mask=newest < low))


# --- passes over the batches of one Spark partition, sorted by entity, event_timestamp, impression_id -----------


def with_item_counts(
    batches: Iterable[pa.RecordBatch], *, schema: Schema, lookback: Lookback
) -> Iterator[pa.RecordBatch]:
    """Adds their item's counts to the impressions of the day; batches hold whole events and IN_DAY."""
    target = item_counted_schema(schema, lookback)
    for events in whole_groups(batches, "item_id"):
        groups, times = _runs(events["item_id"]), _times(events)
        timeline, clicks_before = Timeline(groups, times), _running_sum(_labels(events))
        for rows in _slices(np.flatnonzero(_one(events[IN_DAY]))):
            columns = events.select(schema.events().names).take(rows).columns
            columns += window_counts(timeline, clicks_before, groups[rows], times[rows], lookback)
            yield from pa.table(columns, schema=target).to_batches()


def with_user_features(
    batches: Iterable[pa.RecordBatch], *, schema: Schema, lookback: Lookback
) -> Iterator[pa.RecordBatch]:
    """Builds rows of `examples`, packed: the day's impressions with their user's counts, crosses and history.

    Args:
        batches: rows of `with_item_counts` with IN_DAY set, and events to look back on.
    """
    target = examples_schema(schema, lookback)
    passed = (*schema.events().names, *schema.item_counts(list(lookback.windows_days)))
    for events in whole_groups(batches, "user_id"):
        groups, times, labels = _runs(events["user_id"]), _times(events), _labels(events)
        timeline, clicks_before = Timeline(groups, times), _running_sum(labels)
        day_rows = np.flatnonzero(_one(events[IN_DAY]))
        if not len(day_rows):
            continue
        crosses = [Crosses(groups, times, _one(events[name]), labels) for name in schema.crosses]
        for rows in _slices(day_rows):
            asked = groups[rows], times[rows]
            columns = dict(zip(passed, events.select(passed).take(rows).columns, strict=True))
            counts = window_counts(timeline, clicks_before, *asked, lookback)
            columns |= zip(schema.user_counts(list(lookback.windows_days)), counts, strict=True)
            crossed = [count for cross in crosses for count in cross.counts(rows, times[rows], lookback)]
            columns |= zip(schema.cross_counts(), crossed, strict=True)
            slots = histories(timeline, events, *asked, lookback)
            columns |= zip(HISTORY_COLUMNS, slots, strict=True)
            described = pa.table([columns[name] for name in target.names], schema=target).combine_chunks()
            yield from map(pack, described.to_batches())


def snapshots(
    batches: Iterable[pa.RecordBatch],
    *,
    entity: str,
    instants: list[int],
    schema: Schema,
    lookback: Lookback,
) -> Iterator[pa.RecordBatch]:
    """Builds rows of `user_activity` or `item_activity`, packed: what was known of each entity at each instant.

    Args:
        entity: "user" or "item".
        instants: microseconds, ascending. An entity without an event in [instant - history_days,
            instant - delay) has no row.
    """
    target = activity_schema(entity, schema, lookback)
    attributes = attribute_columns(entity, schema)
    for events in whole_groups(batches, f"{entity}_id"):
        groups = _runs(events[f"{entity}_id"])
        timeline, clicks_before = Timeline(groups, _times(events)), _running_sum(_labels(events))
        starts = np.searchsorted(groups, np.arange(groups[-1] + 1))  # (G,) first event of each group
        every = np.repeat(np.arange(len(starts)), len(instants))
        at = np.tile(np.array(instants, dtype=np.int64), len(starts))
        low, high = timeline.window(every, at, reach_us=lookback.history_us, delay_us=lookback.delay_us)
        for rows in _slices(np.flatnonzero(high > low)):
            stamp = pa.array(at[rows]).cast(TIMESTAMP)
            columns = [_one(events[f"{entity}_id"]).take(pa.array(starts[every[rows]])), stamp, stamp]
            columns += window_counts(timeline, clicks_before, every[rows], at[rows], lookback)
            if entity == "user":
                columns += histories(timeline, events, every[rows], at[rows], lookback)
            columns += [newest_known(_one(events[name]), low[rows], high[rows]) for name in attributes]
            yield from map(pack, pa.table(columns, schema=target).to_batches())


def whole_groups(batches: Iterable[pa.RecordBatch], key: str, *, rows: int = CHUNK_ROWS) -> Iterator[pa.Table]:
    """Cuts sorted batches into tables that hold every row of each of their groups, of about `rows` rows.

    Only a group larger than `rows` makes a larger table.
    """
    held: list[pa.RecordBatch] = []
    num_held, enough = 0, rows
    for batch in batches:
        held.append(batch)
        num_held += batch.num_rows
        if num_held < enough:
            continue
        table = pa.Table.from_batches(held).combine_chunks()
        last = int(np.searchsorted(_runs(table[key]), _runs(table[key])[-1]))
        if last == 0:  # one group so far; look again when twice as much is held
            enough = 2 * num_held
            continue
        yield table.slice(0, last).combine_chunks()
        held, num_held, enough = table.slice(last).to_batches(), num_held - last, rows
    if num_held:
        yield pa.Table.from_batches(held).combine_chunks()


# --- columns of the tables --------------------------------------------------------------------------------------


def attribute_columns(entity: str, schema: Schema) -> tuple[str, ...]:
    """Returns the feature columns that describe a user or an item."""
    if entity == "user":
        return schema.user_categorical + schema.user_dense
    return schema.item_categorical + schema.item_dense


def item_counted_schema(schema: Schema, lookback: Lookback) -> pa.Schema:
    """Returns the columns of an event with its item's counts."""
    return _extended(schema.events(), schema.item_counts(list(lookback.windows_days)))


def examples_schema(schema: Schema, lookback: Lookback) -> pa.Schema:
    """Returns the columns of `examples`: the event, user, item and cross counts (float32), the user's history."""
    windows = list(lookback.windows_days)
    counts = schema.user_counts(windows) + schema.item_counts(windows) + schema.cross_counts()
    return pa.schema([*_extended(schema.events(), counts), *pa.schema(HISTORY_COLUMNS)])


def activity_schema(entity: str, schema: Schema, lookback: Lookback) -> pa.Schema:
    """Returns the columns of `user_activity` or `item_activity`."""
    key = pa.schema({f"{entity}_id": pa.string(), "event_timestamp": TIMESTAMP, "created_timestamp": TIMESTAMP})
    windows = list(lookback.windows_days)
    counts = schema.user_counts(windows) if entity == "user" else schema.item_counts(windows)
    history = pa.schema(HISTORY_COLUMNS) if entity == "user" else []
    attributes = [schema.events().field(name) for name in attribute_columns(entity, schema)]
    return pa.schema([*_extended(key, counts), *history, *attributes])


def _extended(fields: pa.Schema, counts: tuple[str, ...]) -> pa.Schema:
    return pa.schema([*fields, *(pa.field(name, pa.float32()) for name in counts)])


# --- arrays -----------------------------------------------------------------------------------------------------


def _one(column: pa.ChunkedArray) -> pa.Array:
    """Returns a column as one array; tables of `whole_groups` have one chunk."""
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _microseconds(events: pa.Table) -> pa.ChunkedArray:
    return events["event_timestamp"].cast(TIMESTAMP).cast(pa.int64())


def _times(events: pa.Table) -> Ints:
    return np.asarray(_one(_microseconds(events)))


def _labels(events: pa.Table) -> Ints:
    return np.asarray(_one(events["label"]), dtype=np.int64)


def _running_sum(values: Ints) -> Ints:
    return np.concatenate([[0], np.cumsum(values)])


def _runs(keys: pa.ChunkedArray | Ints) -> Ints:
    """Numbers runs of equal neighbours from 0: (N,). Null, nobody, equals nothing: each is a run of its own."""
    if isinstance(keys, np.ndarray):
        changed = keys[1:] != keys[:-1]
    else:
        array = _one(keys)
        changed = np.asarray(pc.fill_null(pc.not_equal(array[1:], array[:-1]), True))
    return np.concatenate([[0], np.cumsum(changed)]) if len(keys) else np.zeros(0, dtype=np.int64)


def _slices(rows: Ints) -> Iterator[Ints]:
    for start in range(0, len(rows), SLICE_ROWS):
        yield rows[start : start + SLICE_ROWS]
