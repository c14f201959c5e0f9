"""One vertical's rows and everybody's impressions, as tensors that every arm of the study reads."""

from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property

import numpy as np
import polars as pl
import pyarrow as pa
import torch
from torch import Tensor

import storage
from config import PlatformConfig
from data.batches.encoding import dense_values, hash_ids
from data.batches.impression_history import HistoryBuilder, ImpressionLog
from data.batches.vertical import VerticalFeatures
from data.features.point_in_time import Ints
from data.schema import Schema, epoch_us
from data.sources import source_schema, synthetic
from feature_repo.feature_views import snapshot_ttl


@dataclass(frozen=True)
class StudyLog:
    """A whole log. N: impressions, sorted by user, then time; A: ids a slot; F, M: a VM's sparse and dense features."""

    impressions: ImpressionLog
    items: Ints  # number of each impression's item, (N,)
    order: Ints  # positions in order of time, as `examples` has them, (N,)
    verticals: np.ndarray  # names, (N,)
    sparse: Tensor  # as a VM sees the impression at its time, (N, F)
    dense: Tensor  # (N, M)
    features: VerticalFeatures
    counts: tuple[str, ...]  # dense features that count impressions and clicks of a window
    history_ids: tuple[str, ...]  # features whose ids a slot holds
    days: list[datetime]  # start of each day, and the end of the last
    truth: Tensor | None  # true click probabilities, where the log is generated, (N,)

    @property
    def users(self) -> Ints:
        """Returns the number of each impression's user, (N,)."""
        return self.impressions.users

    @cached_property
    def day_of(self) -> Ints:
        """Returns the day of each impression, from 0, (N,)."""
        return np.searchsorted([epoch_us(day) for day in self.days], self.impressions.micros, side="right") - 1

    def rows(self, vertical: str, first: int, last: int) -> Ints:
        """Returns the positions of a vertical's impressions on days first to last - 1, in order of time."""
        days = self.day_of[self.order]
        return self.order[(days >= first) & (days < last) & (self.verticals[self.order] == vertical)]

    def histories(self, *, length: int, since: int, delay_us: int = 0, clicked: bool = False) -> HistoryBuilder:
        """Returns the builder of the histories of what was logged from a day on: earlier impressions have no code.

        Args:
            length: slots.
            since: first day whose impressions count.
            delay_us: an impression is known this long after its time.
            clicked: only clicked impressions fill slots.
        """
        return HistoryBuilder(
            self.impressions,
            self.items,
            length=length,
            days=len(self.days),
            delay_us=delay_us,
            clicked=clicked,
            since=epoch_us(self.days[since]),
        )

    def midnights(self, rows: Ints) -> Ints:
        """Returns the start of each row's day, microseconds since 1970, (Q,); its item's mean code is as of then."""
        return np.array([epoch_us(day) for day in self.days])[self.day_of[rows]]


def study_log(config: PlatformConfig, day: date) -> StudyLog:
    """Reads a log that `whole_log` made; VM features are the newest daily snapshot before each impression."""
    schema = source_schema(config)
    features = VerticalFeatures.of(schema, config)
    keys = ["impression_id", "user_id", "item_id", "event_timestamp", "vertical", "label"]
    rows = pl.from_arrow(storage.read_partition(config, "examples", day, columns=keys))
    assert isinstance(rows, pl.DataFrame)
    rows = rows.sort("event_timestamp", "impression_id").with_row_index("order")
    truth = None
    if config.data_source == "synthetic":
        rows = rows.join(synthetic.true_probability(config, day), on="impression_id", how="left", maintain_order="left")
    rows = _with_snapshots(rows, config, day, schema).sort("user_id", "event_timestamp", "order")
    if config.data_source == "synthetic":
        truth = torch.from_numpy(rows["probability"].to_numpy().copy())
    table = rows.to_arrow()
    sparse = [hash_ids(_strings(table[name]), count) for name, count in features.num_embeddings.items()]
    history_ids = ("item_id", *schema.item_categorical)
    windows = config.features.windows_days
    names = list(features.num_embeddings)
    users, items = (_numbers(table[name]) for name in ("user_id", "item_id"))
    micros = table["event_timestamp"].cast(pa.int64()).to_numpy()
    order = np.empty(len(rows), np.int64)
    order[rows["order"].to_numpy()] = np.arange(len(rows))
    by_name = np.stack([sparse[names.index(name)] for name in history_ids], axis=1)
    return StudyLog(
        impressions=ImpressionLog(
            users, micros, torch.from_numpy(table["label"].to_numpy().astype(np.float32)), torch.from_numpy(by_name)
        ),
        items=items,
        order=order,
        verticals=rows["vertical"].to_numpy(),
        sparse=torch.from_numpy(np.stack(sparse, axis=1)),
        dense=torch.from_numpy(dense_values(table, features.dense)),
        features=features,
        counts=schema.user_counts(windows) + schema.item_counts(windows),
        history_ids=history_ids,
        days=storage.midnights(config, storage.calendar_days(config, day)),
        truth=truth,
    )


def _with_snapshots(rows: pl.DataFrame, config: PlatformConfig, day: date, schema: Schema) -> pl.DataFrame:
    """Adds what Feast would have served for user and item, as its point-in-time join does."""
    windows = config.features.windows_days
    wanted = {
        "user": schema.user_counts(windows) + schema.user_categorical + schema.user_dense,
        "item": schema.item_counts(windows) + schema.item_categorical + schema.item_dense,
    }
    for entity, columns in wanted.items():
        names = [f"{entity}_id", "event_timestamp", *columns]
        snapshots = pl.from_arrow(storage.read_partition(config, f"{entity}_activity", day, columns=names))
        assert isinstance(snapshots, pl.DataFrame)
        rows = rows.sort("event_timestamp").join_asof(
            snapshots.sort("event_timestamp"),
            on="event_timestamp",
            by=f"{entity}_id",
            strategy="backward",
            tolerance=snapshot_ttl(config),
            check_sortedness=False,  # sorted by time, which polars cannot tell within `by`
        )
    return rows


def _strings(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column.cast(pa.string())


def _numbers(column: pa.ChunkedArray) -> Ints:
    """Numbers a column's values, in their order: sorted values stay sorted."""
    encoded = column.combine_chunks().cast(pa.string()).dictionary_encode()
    ranks = np.argsort(np.argsort(encoded.dictionary.to_numpy(zero_copy_only=False)))
    return ranks[encoded.indices.to_numpy()].astype(np.int64)
