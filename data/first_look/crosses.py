"""Proposes crosses: for which columns of an item a user's own past with the value tells of the next click."""

from dataclasses import dataclass

import polars as pl
from sklearn.metrics import mutual_info_score

from data.first_look.columns import Column

MOST = 3
LEAST_SHARE = 0.001  # of the label's entropy
# Of 2 N I, which is chi-squared where there is nothing to it: this many times its degrees of freedom.
BEYOND_CHANCE = 3.0


@dataclass(frozen=True)
class Cross:
    """A column, what a user's past with its value tells beyond both alone, and how often there is such a past."""

    column: str
    information: float  # share of the label's entropy
    seen_before: float  # share of the rows
    proposed: bool


def propose_crosses(
    columns: list[Column], candidates: list[str], user: pl.Series, label: pl.Series, order: pl.Series
) -> list[Cross]:
    """Measures each candidate by the information on the label of whether the user has seen, has clicked the value.

    It is what remains beside whether the user has clicked anything and how often the value was clicked by all.

    Args:
        columns: the columns of the sample.
        candidates: the item's id and categorical features.
        user: of each row.
        label: of each row, 0 or 1.
        order: of the rows in time.
    """
    found = []
    for column in columns:
        if column.name not in candidates:
            continue
        rows = pl.DataFrame({"user": user, "value": column.values, "y": label}).gather(order).drop_nulls()
        if rows.height < 2 or rows["y"].n_unique() < 2:
            continue
        alone = rows.select(_past("user").alias("of_user"), _rate("value").alias("of_value"))
        cross = rows.select(_past("user", "value").alias("cross"))["cross"]
        both = _codes(alone["of_user"], alone["of_value"])
        crossed = _codes(alone["of_user"], alone["of_value"], cross)
        nats = mutual_info_score(rows["y"], crossed) - mutual_info_score(rows["y"], both)
        freedom = max(crossed.n_unique() - both.n_unique(), 1)
        share = nats / mutual_info_score(rows["y"], rows["y"])
        telling = share >= LEAST_SHARE and 2 * rows.height * nats >= BEYOND_CHANCE * freedom
        seen = float(str((cross > 0).mean()))
        found.append(Cross(column.name, max(share, 0.0), seen, proposed=telling))
    ranked = sorted(found, key=lambda cross: -cross.information)
    proposed = [cross.column for cross in ranked if cross.proposed][:MOST]
    return [Cross(c.column, c.information, c.seen_before, c.column in proposed) for c in ranked]


def _past(*of: str) -> pl.Expr:
    """0: no earlier row; 1: one, but no click; 2: a click."""
    clicks = pl.col("y").cum_sum().over(of) - pl.col("y")
    return pl.when(clicks > 0).then(2).when(pl.int_range(pl.len()).over(of) > 0).then(1).otherwise(0)


def _rate(of: str) -> pl.Expr:
    """The tercile of the click rate of the earlier rows, drawn to the usual one where these are few."""
    clicks = pl.col("y").cum_sum().over(of) - pl.col("y")
    rows = pl.int_range(pl.len()).over(of)
    rate = (clicks + 10 * pl.col("y").mean()) / (rows + 10)
    return (rate.rank("ordinal") * 3 / (pl.len() + 1)).floor().cast(pl.Int64)


def _codes(*parts: pl.Series) -> pl.Series:
    return pl.select(pl.concat_str([pl.Series(part) for part in parts], separator=":")).to_series()
