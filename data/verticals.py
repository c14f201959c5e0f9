"""Which vertical model serves an impression."""

from collections.abc import Mapping

import polars as pl

from config import Vertical
from data.ids import as_text


def assign_verticals(events: pl.DataFrame, verticals: Mapping[str, Vertical]) -> pl.DataFrame:
    """Adds the column `vertical`, after item_id.

    A row goes to the first vertical, as listed, whose filter matches it; else to the vertical without a filter; where
    there is none, its vertical is null. A filter's values are read as categories are: "1.0" is "1".

    Raises:
        ValueError: a filter names a column that the events do not have.
    """
    for name, vertical in verticals.items():
        if vertical.column is not None and vertical.column not in events.columns:
            raise ValueError(
                f"platform.yaml: verticals.{name}.column is {vertical.column!r}, which the source's events do not "
                f"have; their columns: {', '.join(events.columns)}"
            )
    taken = [
        pl.when(pl.lit(_matches(events[vertical.column], vertical.values))).then(pl.lit(name))
        for name, vertical in verticals.items()
        if vertical.column is not None
    ]
    rest = next((name for name, vertical in verticals.items() if vertical.column is None), None)
    chosen = pl.coalesce(*taken, pl.lit(rest, dtype=pl.String)).alias("vertical")
    position = events.columns.index("item_id") + 1
    return events.with_columns(chosen).select(*events.columns[:position], "vertical", *events.columns[position:])


def _matches(column: pl.Series, values: list[str]) -> pl.Series:
    return as_text(column).is_in(as_text(pl.Series(values)).to_list())
