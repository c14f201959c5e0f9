"""Guesses which column is the user, the item, the time, the label, and which ids an impression has."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import polars as pl

from data.first_look.columns import NEARLY_ALL, Column, as_times
from data.first_look.names import rank_as_key, rank_as_label, rank_as_time

CORE = ("user_id", "item_id", "event_timestamp", "label")
MEANING = {
    "user_id": "who saw it",
    "item_id": "what was shown",
    "event_timestamp": "when it was shown",
    "label": "whether it was clicked, 0 or 1",
    "impression_id": "what tells an impression from all others",
}


@dataclass
class Roles:
    """Columns by role, and in words why a role has none."""

    columns: dict[str, str] = field(default_factory=dict)  # user_id, item_id, event_timestamp, label
    request: str | None = None  # a request, session or auction, which shows several items
    key: list[str] = field(default_factory=list)  # that tells an impression from all others
    missing: dict[str, str] = field(default_factory=dict)

    @property
    def taken(self) -> set[str]:
        """Returns all columns that have a role."""
        return {*self.columns.values(), *self.key, *([self.request] if self.request else [])}


def guess_roles(columns: list[Column], told: Mapping[str, list[str]]) -> Roles:
    """Guesses by name and checks by values; what is told goes before.

    Args:
        columns: the columns of the sample.
        told: role -> column; for `impression_id` one column or several.
    """
    roles = Roles(columns={role: told[role][0] for role in CORE if role in told})
    for role, candidates in (
        ("event_timestamp", _times(columns)),
        ("label", _labels(columns)),
        ("user_id", _keys(columns, "user_id")),
        ("item_id", _keys(columns, "item_id")),
    ):
        free = [name for name in candidates if name not in roles.columns.values()]
        if role not in roles.columns and free:
            roles.columns[role] = free[0]
    for role in CORE:
        if role not in roles.columns:
            roles.missing[role] = f"no column found for {role} ({MEANING[role]}): {_could_be(role, columns, roles)}"
    roles.request = next((name for name in _keys(columns, "request") if name not in roles.columns.values()), None)
    roles.key = _key(columns, roles, told.get("impression_id"))
    if not roles.key:
        roles.missing["impression_id"] = (
            "no column, nor several, found that tell an impression from all others (impression_id): name them with "
            "--map impression_id=COLUMN,COLUMN, or write a number for each row"
        )
    return roles


def repeats(columns: list[Column], key: list[str]) -> int:
    """Counts rows whose key an earlier row has; rows without one do not count."""
    frame = pl.DataFrame([column.values for column in columns if column.name in key]).drop_nulls()
    return frame.height - frame.n_unique() if frame.width else 0


def _keys(columns: list[Column], role: str) -> list[str]:
    ranked = [
        (rank, -column.distinct, column.name)
        for column in columns
        if column.kind in ("integer", "text") and column.distinct > (role == "request")
        if (rank := rank_as_key(column.name, role)) is not None
    ]
    return [name for *_, name in sorted(ranked)]


def _times(columns: list[Column]) -> list[str]:
    ranked = []
    for column in columns:
        rank = rank_as_time(column.name)
        if column.kind == "time":
            ranked.append((column.nulls > 0.5, 50 if rank is None else rank, column.name))
        elif column.kind in ("integer", "number") and rank is not None and holds_times(column):
            ranked.append((column.nulls > 0.5, rank, column.name))
    return [name for *_, name in sorted(ranked)]


def holds_times(column: Column) -> bool:
    """Says whether numbers are instants of a log's years, by their size."""
    return len(as_times(column.values).drop_nulls()) >= NEARLY_ALL * max(column.given, 1)


def _labels(columns: list[Column]) -> list[str]:
    ranked = [
        (column.distinct != 2, rank, column.name)
        for column in columns
        if (rank := rank_as_label(column.name)) is not None and column.kind not in ("time", "empty")
    ]
    return [name for *_, name in sorted(ranked)]


def _key(columns: list[Column], roles: Roles, told: list[str] | None) -> list[str]:
    """Returns the first of the usual keys that no two rows have in common; rows that are alike in all count once."""
    if told:
        return told
    alone = [name for name in _keys(columns, "impression_id") if name not in roles.columns.values()]
    requests = [*([roles.request] if roles.request else []), *alone]
    item, user, when = (roles.columns.get(role) for role in ("item_id", "user_id", "event_timestamp"))
    together = [[name, item] for name in dict.fromkeys(requests) if item]
    if user and item and when:
        together.append([user, item, when])
    whole = pl.DataFrame([column.values for column in columns])
    copies = whole.height - whole.n_unique() if whole.height else 0
    nullable = {column.name for column in columns if column.nulls > 0.01}
    for key in [*([name] for name in [*alone, *requests]), *together]:
        if repeats(columns, key) <= copies and not nullable.intersection(key):
            return key
    return []


def _could_be(role: str, columns: list[Column], roles: Roles) -> str:
    kinds = {"event_timestamp": ("time", "integer"), "label": ("truth", "integer")}.get(role, ("integer", "text"))
    free = [
        column.name
        for column in columns
        if column.kind in kinds
        and column.name not in roles.columns.values()
        and (role != "label" or column.distinct == 2)
    ]
    named = ", ".join(free[:6]) + (", …" if len(free) > 6 else "")
    return f"--map {role}=COLUMN names it" + (f"; it could be {named}" if free else "; no column looks like it")
