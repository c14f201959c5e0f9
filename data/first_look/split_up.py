"""Proposes verticals: which column divides the traffic into parts that each have clicks enough for a model."""

import re
from dataclasses import dataclass

import polars as pl

from config import Gates, Vertical
from data.first_look.columns import Column
from data.first_look.features import Feature
from data.first_look.names import words_of

MOST = 5  # verticals, beside the one that takes the rest
# Words of columns that divide traffic as teams do, the best first.
# fmt: off
PARTS = (
    "placement", "surface", "scene", "tab", "slot", "page", "section", "channel", "feed", "format", "category",
    "department", "genre", "vertical", "type", "kind", "topic",
)
# fmt: on
NO_PARTS = {"position", "pos", "rank", "index", "hour", "weekday", "day", "minute"}  # of one request, or of the clock


@dataclass(frozen=True)
class Split:
    """Verticals by name, the column that tells them apart, and the clicks of each value in the log, about."""

    verticals: dict[str, Vertical]
    column: str | None = None
    clicks: dict[str, int] | None = None


def needed_clicks(gates: Gates, eval_fraction: float) -> int:
    """Returns how many clicks of the log a vertical needs: those that are held out must be enough to judge by."""
    return round(gates.min_eval_clicks / eval_fraction)


def propose_split(
    columns: list[Column], features: list[Feature], label: pl.Series, weights: pl.Series, needed: int
) -> Split:
    """Looks for a column of the item or the impression with at least two values of `needed` clicks each."""
    of_feature = {f.name: f.list for f in features if f.list in ("item_categorical", "context_categorical")}
    best: tuple[tuple[int, int, int], Split] | None = None
    for column in columns:
        if column.name not in of_feature:
            continue
        rows = pl.DataFrame({"value": column.values, "clicks": label * weights}).drop_nulls()
        sums = rows.group_by("value").agg(pl.col("clicks").sum()).sort("clicks", "value", descending=[True, False])
        clicks = {value: round(count) for value, count in sums.iter_rows()}
        enough = [value for value, count in clicks.items() if count >= needed]
        if len(enough) < 2:
            continue
        words = words_of(column.name)
        if NO_PARTS.intersection(words):
            continue
        named = next((n for n, word in enumerate(PARTS) if word in words), len(PARTS))
        score = (-named, int(of_feature[column.name] == "item_categorical"), -column.distinct)
        if best is None or score > best[0]:
            best = score, _split(column.name, clicks, enough, needed)
    return best[1] if best else Split({"all": Vertical()})


def _split(column: str, clicks: dict[str, int], enough: list[str], needed: int) -> Split:
    # What no filter takes would go to quarantine, so one vertical takes the rest: the last of them, where the other
    # values have too few clicks for a model of their own.
    rest = sum(clicks.values()) - sum(clicks[value] for value in enough[:MOST])
    named = enough[:MOST] if rest >= needed else enough[: len(enough[:MOST]) - 1]
    verticals: dict[str, Vertical] = {}
    for value in named:
        verticals[_name(value, column, verticals)] = Vertical(column=column, values=[value])
    verticals[_name("other", column, verticals)] = Vertical()
    return Split(verticals, column, {value: clicks[value] for value in enough[: MOST + 1]})


def _name(value: str, column: str, taken: dict[str, Vertical]) -> str:
    slug = re.sub(r"[^a-z0-9]+", "_", value.lower()).strip("_")
    name = slug if re.match(r"[a-z]", slug) else f"{'_'.join(words_of(column)) or 'v'}_{slug}".rstrip("_")
    if not re.match(r"[a-z]", name):
        name = f"v_{name}"
    numbers = (f"{name}_{n}" for n in range(2, 1000))
    return name if name not in taken else next(other for other in numbers if other not in taken)
