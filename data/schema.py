"""The common schema: the columns of every table, derived from a source's features."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pyarrow as pa

TIMESTAMP = pa.timestamp("us", tz="UTC")
FEATURE_SERVICE = "vertical_model"  # Feast's name for all that a vertical model reads, in training and in serving

EVENT_COLUMNS: dict[str, pa.DataType] = {
    "impression_id": pa.string(),
    "event_timestamp": TIMESTAMP,
    "user_id": pa.string(),
    "item_id": pa.string(),
    "vertical": pa.string(),
    "label": pa.int32(),
}


def epoch_us(instant: datetime) -> int:
    """Returns whole microseconds since 1970, as TIMESTAMP holds them."""
    return (instant - datetime.fromtimestamp(0, UTC)) // timedelta(microseconds=1)


@dataclass(frozen=True)
class Schema:
    """The features of a data source, by what they describe.

    User and item features are known before the impression and served by Feast, so vertical models may use them.
    Context features belong to one impression; only the foundation model sees them, as it sees `crosses`:
    categorical columns (item_id or item features) whose (user, value) counts are computed point in time.
    """

    user_categorical: tuple[str, ...] = ()
    user_dense: tuple[str, ...] = ()
    item_categorical: tuple[str, ...] = ()
    item_dense: tuple[str, ...] = ()
    context_categorical: tuple[str, ...] = ()
    context_dense: tuple[str, ...] = ()
    crosses: tuple[str, ...] = ("item_id",)

    @property
    def categorical(self) -> tuple[str, ...]:
        """Returns every categorical feature column; string, null where unknown."""
        return self.user_categorical + self.item_categorical + self.context_categorical

    @property
    def dense(self) -> tuple[str, ...]:
        """Returns every dense feature column; float32, null where unknown."""
        return self.user_dense + self.item_dense + self.context_dense

    def events(self) -> pa.Schema:
        """Returns the columns of the `events` table."""
        return pa.schema(
            EVENT_COLUMNS
            | {name: pa.string() for name in self.categorical}
            | {name: pa.float32() for name in self.dense}
        )

    def user_counts(self, windows_days: list[int]) -> tuple[str, ...]:
        """Returns the count and rate columns of a user: each window's impressions, clicks and click rate."""
        return _counts("user", windows_days)

    def item_counts(self, windows_days: list[int]) -> tuple[str, ...]:
        """Returns the count and rate columns of an item."""
        return _counts("item", windows_days)

    def cross_counts(self) -> tuple[str, ...]:
        """Returns the count columns of (user, value of a cross column), over the whole history_days."""
        return tuple(f"user_{cross}_{what}" for cross in self.crosses for what in ("impressions", "clicks"))


def _counts(entity: str, windows_days: list[int]) -> tuple[str, ...]:
    return tuple(f"{entity}_{what}_{window}d" for window in windows_days for what in ("impressions", "clicks", "ctr"))


HISTORY_COLUMNS: dict[str, pa.DataType] = {
    "history_item_ids": pa.list_(pa.string()),
    "history_labels": pa.list_(pa.int32()),
    "history_timestamps": pa.list_(pa.int64()),  # microseconds since 1970, oldest first
}
