"""A vertical's rows with FM histories rebuilt from the logs: as Feast served them, and as they would be otherwise."""

from dataclasses import dataclass, replace
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch import Tensor

import storage
from config import PlatformConfig
from data.batches.encoding import hash_ids
from data.batches.impression_history import HistoryBuilder, ImpressionLog
from data.batches.vertical import VerticalFeatures
from data.batches.vertical_examples import vertical_examples
from data.codes import stored
from data.features.point_in_time import Ints
from data.schema import Schema, epoch_us
from training.vertical.rows import VerticalRows

ROWS_AT_ONCE = 8192


@dataclass(frozen=True)
class LoggedRows:
    """Q impressions of a vertical, and the N impressions of every vertical that the FM logged.

    N is sorted by user, then time; Q by time. Numbers of users and items are indices into `all_users`, `all_items`;
    below 0 it is nobody, each row with a number of its own.
    """

    config: PlatformConfig
    features: VerticalFeatures
    history_ids: tuple[str, ...]  # sparse features whose ids the log holds
    log: ImpressionLog
    logged: pa.Array  # impression ids, (N,)
    items: Ints  # (N,)
    codes: Tensor  # as logged, (N, code_dim)
    users: Ints  # of the rows, (Q,)
    asked: Ints  # their items, (Q,)
    instants: Ints  # their times, microseconds since 1970, (Q,)
    snapshots: Ints  # the newest day end at each instant, when Feast's snapshots were taken, (Q,)
    sparse: Tensor  # (Q, F)
    dense: Tensor  # (Q, M)
    labels: Tensor  # (Q,)
    soft_labels: Tensor  # NaN where the FM gave none, (Q,)

    def served(self) -> VerticalRows:
        """Returns the rows with what Feast served: snapshots of the newest day end, codes cut and rounded as stored."""
        return self.with_codes(self.codes[:, : self.config.served_code_dim])

    def _rounded(self, codes: Tensor) -> Tensor:
        return torch.from_numpy(stored(codes.numpy(), self.config.transfer.code_bits))

    def with_codes(
        self, codes: Tensor, *, fresh: bool = False, rounded: bool = True, since: int | None = None
    ) -> VerticalRows:
        """Returns the rows with other codes.

        Args:
            codes: of the log's impressions, (N, d).
            fresh: histories as of each impression, not as of the newest day end.
            rounded: codes, and items' means of them, are as they come back from the feature store.
            since: microseconds since 1970; impressions logged earlier do not count. None: all count.
        """
        transfer = self.config.transfer
        histories = HistoryBuilder(
            self.log,
            self.items,
            length=transfer.history_length,
            days=transfer.history_days,
            delay_us=transfer.delay_s * 1_000_000,
            clicked=self.config.source.history_events == "clicked",
            since=since,
        )
        slots = histories.slots(self.users, self.instants if fresh else self.snapshots)
        means = histories.item_codes(codes, self.asked, self.snapshots)
        return VerticalRows(
            self.sparse,
            self.dense,
            self.labels,
            self.soft_labels,
            self.log,
            self._rounded(codes) if rounded else codes,
            self._rounded(means) if rounded else means,
            slots,
        )

    def part(self, rows: Ints) -> "LoggedRows":
        """Returns some of the rows, beside the same log."""
        at = torch.from_numpy(rows)
        return replace(
            self,
            users=self.users[rows],
            asked=self.asked[rows],
            instants=self.instants[rows],
            snapshots=self.snapshots[rows],
            sparse=self.sparse[at],
            dense=self.dense[at],
            labels=self.labels[at],
            soft_labels=self.soft_labels[at],
        )


def logged_rows(config: PlatformConfig, schema: Schema, vertical: str, days: list[date]) -> LoggedRows:
    """Reads a vertical's rows of some days, and what the FM logged within their histories' reach.

    Raises:
        PartitionMissing: a day's fm_outputs, examples or vertical_examples are not committed.
    """
    features = VerticalFeatures.of(schema, config)
    reach = (days[-1] - days[0]).days + config.transfer.history_days
    history_ids = ("item_id", *schema.item_categorical)
    logged_days = storage.days_back(config, days[-1], reach)
    log, logged_codes = _log(config, schema, logged_days)
    rows = vertical_examples(config, vertical, days)
    begin = storage.day_window(config, logged_days[0])[0]
    ends = np.array(
        [epoch_us(at) for at in (begin, *(e for day in logged_days for e in storage.snapshot_ends(config, day)))]
    )
    instants = rows["event_timestamp"].cast(pa.int64()).to_numpy()
    batches = [batch for _, batch in features.batches(rows, ROWS_AT_ONCE)] or [features.batch(rows)]
    all_users = pc.unique(pa.chunked_array([*log["user_id"].chunks, *rows["user_id"].chunks]))
    all_items = pc.unique(pa.chunked_array([*log["item_id"].chunks, *rows["item_id"].chunks]))
    all_users = all_users.drop_null()
    all_users = all_users.take(pc.sort_indices(all_users))  # numbers in the order of the log, where nobody comes last
    numbers = [_indices(log["user_id"], all_users, len(all_users)), _indices(log["item_id"], all_items)]
    flat = logged_codes.combine_chunks().flatten().to_numpy(zero_copy_only=False)
    ids = [hash_ids(log[name], features.num_embeddings[name]) for name in history_ids]
    return LoggedRows(
        config=config,
        features=features,
        history_ids=history_ids,
        log=ImpressionLog(
            numbers[0],
            log["event_timestamp"].cast(pa.int64()).to_numpy(),
            torch.from_numpy(log["label"].to_numpy().astype(np.float32)),
            torch.from_numpy(np.stack(ids, axis=1)),
        ),
        logged=log["impression_id"].combine_chunks(),
        items=numbers[1],
        codes=torch.from_numpy(flat.reshape(-1, config.foundation_model.codes.dim).copy()),
        users=_nobody_by_himself(_indices(rows["user_id"], all_users, -1)),
        asked=_indices(rows["item_id"], all_items),
        instants=instants,
        snapshots=ends[np.searchsorted(ends, instants, side="right") - 1],
        sparse=torch.cat([batch.sparse for batch in batches]),
        dense=torch.cat([batch.dense for batch in batches]),
        labels=torch.from_numpy(rows["label"].to_numpy().astype(np.float32)),
        soft_labels=torch.from_numpy(rows["soft_label"].to_numpy().astype(np.float32)),
    )


def learnt_and_judged(
    config: PlatformConfig, schema: Schema, vertical: str, days: list[date]
) -> tuple[LoggedRows, LoggedRows]:
    """Reads a vertical's rows before the last of some days, to learn, and on it, to judge; either may be empty."""
    rows = logged_rows(config, schema, vertical, days)
    start = epoch_us(storage.day_window(config, days[-1])[0])
    return rows.part(np.flatnonzero(rows.instants < start)), rows.part(np.flatnonzero(rows.instants >= start))


def _log(config: PlatformConfig, schema: Schema, days: list[date]) -> tuple[pa.Table, pa.ChunkedArray]:
    """Reads the impressions that have a code, by user, then time, with their item's features; and their codes."""
    log = storage.dataset(config, "fm_outputs", days).to_table(
        columns=["impression_id", "user_id", "item_id", "event_timestamp", "label", "code"],
        filter=pc.field("code").is_valid(),
    )
    log = log.sort_by([(name, "ascending") for name in ("user_id", "event_timestamp", "impression_id")])
    codes, log = log["code"], log.drop_columns("code")  # apart: an item's feature may be called so, too
    examples = storage.dataset(config, "examples", days).to_table(columns=["impression_id", *schema.item_categorical])
    of_item = pc.index_in(log["impression_id"], examples["impression_id"].combine_chunks())
    for name in schema.item_categorical:
        log = log.append_column(name, examples[name].take(of_item))
    return log, codes


def _indices(column: pa.ChunkedArray, values: pa.Array, nobody: int = -1) -> Ints:
    """Returns the index of each value of a column in `values`, `nobody` where it is null, (n,)."""
    return pc.fill_null(pc.index_in(column.combine_chunks(), values), nobody).to_numpy().astype(np.int64)


def _nobody_by_himself(users: Ints) -> Ints:
    """Numbers the rows of -1 from there downwards, so that no two are of one user, (n,)."""
    nobody = np.flatnonzero(users < 0)
    users[nobody] -= np.arange(len(nobody))
    return users
