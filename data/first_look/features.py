"""Guesses which columns are features, of whom and of which kind, and why the others are none."""

from dataclasses import dataclass
from typing import Literal

import polars as pl

from config import name_refused
from data.first_look.columns import Column
from data.first_look.names import CODES, OF_ITEMS, OF_USERS, rank_as_time, words_of
from data.first_look.roles import Roles, holds_times
from data.validation import as_number

Side = Literal["user", "item", "context"]
STEADY = 0.95  # of the pairs of a user's (an item's) rows that follow each other have the same value
BEYOND_CHANCE = 0.5  # of what chance leaves open
ENOUGH_PAIRS = 100
FEW_VALUES = 12  # whole numbers with fewer are kinds of something
TOO_MANY = 0.5  # of the rows: text with more values than this tells rows apart, not kinds of them
TELLS = 0.95  # AUC of a single column, from which on it is hardly known before the click
HALF = 0.5


@dataclass(frozen=True)
class Feature:
    """A column that may be a feature: `list` names where config takes it; None where it is left out, with a reason."""

    name: str
    list: str | None
    why: str = ""


def guess_features(columns: list[Column], roles: Roles, instants: pl.Series, label: pl.Series) -> list[Feature]:
    """Looks at every column that has no role.

    Args:
        columns: the columns of the sample.
        roles: who has which role.
        instants: of each row; sets the order.
        label: of each row, as a number.
    """
    by_name = {column.name: column for column in columns}
    order = instants.arg_sort()
    owners = {side: by_name[roles.columns[f"{side}_id"]].values.gather(order) for side in ("user", "item")}
    when = instants.gather(order)
    found: list[Feature] = []
    for column in columns:
        if column.name in roles.taken:
            continue
        why = _not_one(column, label, found)
        if why:
            found.append(Feature(column.name, None, why))
            continue
        kind = "categorical" if is_categorical(column) else "dense"
        found.append(Feature(column.name, f"{_side(column, owners, order, when)}_{kind}"))
    return [_renamed(feature) if feature.list else feature for feature in found]


def is_categorical(column: Column) -> bool:
    """Says whether values are kinds of something, and not a quantity."""
    if column.kind in ("text", "truth"):
        return True
    words = words_of(column.name)
    coded = bool(CODES.intersection(words[-1:])) or bool(column.values.str.contains(r"^0\d").any())
    return column.kind == "integer" and (coded or column.distinct <= FEW_VALUES)


def _not_one(column: Column, label: pl.Series, earlier: list[Feature]) -> str:
    if column.kind == "integer" and rank_as_time(column.name) is not None and holds_times(column):
        return "another time"
    if column.kind in ("empty", "nested", "time"):
        return {"empty": "empty", "nested": "lists or structures", "time": "another time"}[column.kind]
    if column.distinct < 2 and not column.nulls:
        return "always the same"
    if is_categorical(column) and column.distinct > TOO_MANY * column.given:
        return "nearly every row has a value of its own"
    if any(column.name.lower() == other.name.lower() for other in earlier):
        return "differs from another in upper and lower case only: rename it in your files"
    return _after_the_click(column, label)


def _after_the_click(column: Column, label: pl.Series) -> str:
    """Says so where a column tells the label so well that it must come after it."""
    there = column.values.is_not_null()
    if not is_categorical(column):
        number = as_number(column.values).fill_null(0.0)
        rows = pl.DataFrame({"x": number.abs(), "y": label}).drop_nulls()
    else:
        rate = pl.DataFrame({"v": column.values.fill_null(""), "y": label})
        rows = rate.select(pl.col("y").mean().over("v").alias("x"), "y").drop_nulls()
    if column.distinct > 0.1 * int(there.sum()) and is_categorical(column):
        return ""  # each value has so few rows that its rate is the label itself
    positives = int(rows["y"].sum())
    negatives = rows.height - positives
    if not positives or not negatives:
        return ""
    ranks = float(rows.filter(pl.col("y") == 1).height and rows["x"].rank().filter(rows["y"] == 1).sum())
    auc = (ranks - positives * (positives + 1) / 2) / (positives * negatives)
    known = pl.DataFrame({"there": there & (column.values != "0") & (column.values != "false"), "y": label})
    only = known.filter("there")["y"].mean()
    usual = float(str(label.mean()))
    if auc > TELLS or (only == 1.0 and usual < HALF and int(known["there"].sum()) >= ENOUGH_PAIRS):
        return "tells the label: known only after the click?"
    return ""


def _side(column: Column, owners: dict[str, pl.Series], order: pl.Series, when: pl.Series) -> Side:
    values = column.values.gather(order)
    shares = values.value_counts(normalize=True)["proportion"]
    chance = float((shares**2).sum())
    steady = {side: _steadiness(values, owner, when) for side, owner in owners.items()}
    fits = {side: s for side, s in steady.items() if s >= STEADY and s - chance >= BEYOND_CHANCE * (1 - chance)}
    words = set(words_of(column.name))
    if not fits:
        return "context"
    if len(fits) == 2 and (named := {"user": OF_USERS & words, "item": OF_ITEMS & words}):
        if named["item"] and not named["user"]:
            return "item"
        if named["user"] and not named["item"]:
            return "user"
    return "user" if max(fits, key=lambda side: fits[side]) == "user" else "item"


def _steadiness(values: pl.Series, owner: pl.Series, when: pl.Series) -> float:
    """Returns how often two rows of one owner, next to each other in time, have the same value.

    Rows of one instant, as of a request that shows several items, do not count.
    """
    rows = pl.DataFrame({"value": values, "owner": owner, "at": when}).drop_nulls(["owner", "at"])
    before = rows.select(pl.col("value", "at").shift(1).over("owner").name.suffix("_before"))
    pairs = pl.concat([rows, before], how="horizontal").filter(pl.col("at") != pl.col("at_before"))
    if pairs.height < ENOUGH_PAIRS:
        return 0.0
    return float(str(pairs["value"].eq_missing(pairs["value_before"]).mean()))


def _renamed(feature: Feature) -> Feature:
    why = name_refused(feature.name)
    if why is None:
        return feature
    assert feature.list
    return Feature(feature.name, None, f"config refuses the name ({why}): rename it to {another_name(feature)}")


def another_name(feature: Feature) -> str:
    """Returns a name that config takes for a feature."""
    side = (feature.list or "context").partition("_")[0]
    bare = "_".join(words_of(feature.name)) or "feature"
    for name in (bare, f"the_{side}_{bare}" if side == "user" else f"{side}_{bare}", f"{bare}_value", f"own_{bare}"):
        if name_refused(name) is None:
            return name
    return f"own_{bare}_value"
