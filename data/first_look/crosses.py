"""Proposes crosses: for which columns of an item a user's own past with the value tells of the next click."""

from dataclasses import dataclass

import polars as pl
from sklearn.metrics import mutual_info_score

from data.first_look.columns import Column

MOST = 3
LEVELS = 4  # of a past click rate
PRIOR = 3  # rows
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
    """Measures each candidate by the information on the label of how often the user clicked the value before.

    It is what remains beside how often the user clicked anything, and how often all clicked the value.

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
        pasts = rows.select(
            of_user=_rate("user"), of_value=_rate("value"), of_both=_rate("user", "value"), n=_rows("user", "value")
        )
        both = _codes(pasts["of_user"], pasts["of_value"])
        crossed = _codes(pasts["of_user"], pasts["of_value"], pasts["of_both"])
        nats = mutual_info_score(rows["y"], crossed) - mutual_info_score(rows["y"], both)
        freedom = max(crossed.n_unique() - both.n_unique(), 1)
        share = nats / mutual_info_score(rows["y"], rows["y"])
        telling = share >= LEAST_SHARE and 2 * rows.height * nats >= BEYOND_CHANCE * freedom
        seen = float(str((pasts["n"] > 0).mean()))
        found.append(Cross(column.name, max(share, 0.0), seen, proposed=telling))
    ranked = sorted(found, key=lambda cross: -cross.information)
    proposed = [cross.column for cross in ranked if cross.proposed][:MOST]
    return [Cross(c.column, c.information, c.seen_before, c.column in proposed) for c in ranked]


def _rows(*of: str) -> pl.Expr:
    """Counts the earlier rows of the same."""
    return pl.int_range(pl.len()).over(of)


def _rate(*of: str) -> pl.Expr:
    """Ranks the click rate of the earlier rows of the same; few of them are drawn to the usual rate."""
    clicks = pl.col("y").cum_sum().over(of) - pl.col("y")
    rate = (clicks + PRIOR * pl.col("y").mean()) / (_rows(*of) + PRIOR)
    return (rate.rank("average") * LEVELS / (pl.len() + 1)).floor().cast(pl.Int64)


def _codes(*parts: pl.Series) -> pl.Series:
    return pl.select(pl.concat_str([pl.Series(part) for part in parts], separator=":")).to_series()
