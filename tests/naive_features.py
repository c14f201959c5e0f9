"""Point-in-time features, computed literally from the rules: every event is looked at for every row."""

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa

from config import Features
from data.schema import Schema

Event = dict[str, Any]
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SCHEMA = Schema(
    user_categorical=("age",),
    user_dense=("income",),
    item_categorical=("category",),
    item_dense=("price",),
    context_categorical=("place",),
    crosses=("item_id", "category"),
)


def naive_example(row: Event, events: list[Event], schema: Schema, features: Features) -> Event:
    """Computes the row of `examples` of one impression."""
    now = row["event_timestamp"]
    user = _seen(events, "user_id", row["user_id"], now, features.history_days, features.user_delay_s)
    item = _seen(events, "item_id", row["item_id"], now, features.history_days, features.item_delay_s)
    result = {name: row[name] for name in schema.events().names}
    result |= _counts("user", user, now, features) | _counts("item", item, now, features)
    for cross in schema.crosses:
        same = [e for e in user if row[cross] is not None and e[cross] == row[cross]]
        result[f"user_{cross}_impressions"] = np.float32(len(same))
        result[f"user_{cross}_clicks"] = np.float32(sum(e["label"] for e in same))
    return result | _history(user, features)


def naive_activity(
    entity: str, instants: list[datetime], events: list[Event], schema: Schema, features: Features
) -> list[Event]:
    """Computes all rows of `user_activity` or `item_activity`, sorted by id and instant."""
    key = f"{entity}_id"
    categorical, dense = (f"{entity}_categorical", f"{entity}_dense")
    rows = []
    for name in sorted({e[key] for e in events if e[key] is not None}):
        for instant in sorted(instants):
            delay_s = features.user_delay_s if entity == "user" else features.item_delay_s
            seen = _seen(events, key, name, instant, features.history_days, delay_s)
            if not seen:
                continue
            row = {key: name, "event_timestamp": instant, "created_timestamp": instant}
            row |= _counts(entity, seen, instant, features)
            row |= _history(seen, features) if entity == "user" else {}
            for column in getattr(schema, categorical) + getattr(schema, dense):
                row[column] = next((e[column] for e in reversed(seen) if e[column] is not None), None)
            rows.append(row)
    return rows


def random_events(
    rng: np.random.Generator,
    num_rows: int,
    start: datetime,
    days: int,
    *,
    users: int = 4,
    items: int = 5,
    steps_a_day: int = 4,
    known_users: float = 1,
) -> list[Event]:
    """Draws a small log on a coarse grid of times: many ties, many events exactly at the edges of windows.

    Of each row, the user is known with the probability `known_users`, and None otherwise.
    """
    step = timedelta(days=1) / steps_a_day

    def maybe(value: Any) -> Any:
        return value if rng.random() < 0.7 else None

    return [
        {
            "impression_id": f"i{number:05}",
            "event_timestamp": start + step * int(rng.integers(0, days * steps_a_day)),
            "user_id": f"u{rng.integers(users)}" if rng.random() < known_users else None,
            "item_id": f"x{rng.integers(items)}",
            "vertical": "feed",
            "label": int(rng.integers(2)),
            "age": maybe(f"a{rng.integers(3)}"),
            "category": maybe(f"c{rng.integers(3)}"),
            "place": maybe(f"p{rng.integers(3)}"),
            "income": maybe(float(rng.integers(9))),
            "price": maybe(float(rng.integers(9))),
        }
        for number in rng.permutation(num_rows)
    ]


def events_table(events: list[Event], schema: Schema = SCHEMA) -> pa.Table:
    """Returns events as the table `events`, in its order."""
    table = pa.Table.from_pylist(events, schema=schema.events())
    return table.sort_by([("event_timestamp", "ascending"), ("impression_id", "ascending")])


def plain(rows: pa.Table | list[Event]) -> list[Event]:
    """Returns rows with float32 numbers as Python's, to compare with ==."""
    rows = rows.to_pylist() if isinstance(rows, pa.Table) else rows
    return [{k: float(v) if isinstance(v, np.float32) else v for k, v in row.items()} for row in rows]


def _seen(events: list[Event], key: str, value: str, now: datetime, history_days: int, delay_s: int) -> list[Event]:
    oldest, newest = now - timedelta(days=history_days), now - timedelta(seconds=delay_s)
    seen = [e for e in events if value is not None and e[key] == value and oldest <= e["event_timestamp"] < newest]
    return sorted(seen, key=lambda e: (e["event_timestamp"], e["impression_id"]))


def _counts(entity: str, seen: list[Event], now: datetime, features: Features) -> Event:
    result: Event = {}
    for days in features.windows_days:
        inside = [e for e in seen if now - timedelta(days=days) <= e["event_timestamp"]]
        clicks = sum(e["label"] for e in inside)
        result[f"{entity}_impressions_{days}d"] = np.float32(len(inside))
        result[f"{entity}_clicks_{days}d"] = np.float32(clicks)
        result[f"{entity}_ctr_{days}d"] = np.float32(clicks / len(inside) if inside else 0)
    return result


def _history(seen: list[Event], features: Features) -> Event:
    newest = seen[-features.history_length :]
    return {
        "history_item_ids": [e["item_id"] for e in newest],
        "history_labels": [e["label"] for e in newest],
        "history_timestamps": [(e["event_timestamp"] - EPOCH) // timedelta(microseconds=1) for e in newest],
    }
