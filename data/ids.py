"""Ids and categories as text: the same value is the same text wherever it comes from, a log or a request."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import polars as pl

WHOLE_FLOATS = 2**53  # from here on a float no longer tells neighbouring whole numbers apart


class UnreadableId(ValueError):
    """An id of a request that cannot be read without taking one for another."""


def as_text(column: pl.Series) -> pl.Series:
    """Returns strings; a whole number is written alike from an integer and a float column, so an id is one in both."""
    kind = column.dtype
    if kind.is_float():
        value = pl.col("value").fill_nan(None)
        whole = (value == value.floor()) & (value.abs() < WHOLE_FLOATS)
        text = pl.when(whole).then(value.cast(pl.Int64, strict=False).cast(pl.String)).otherwise(value.cast(pl.String))
        return pl.DataFrame({"value": column}).select(text).to_series().alias(column.name)
    if kind.is_nested() or kind in (pl.Binary, pl.Object):
        return pl.Series(column.name, [None] * len(column), dtype=pl.String)
    text_column = column.cast(pl.String)
    return text_column.set(text_column.str.strip_chars() == "", None)


def ids_of_request(values: Sequence[Any], name: str) -> list[str | None]:
    """Reads a request's ids, each as `as_text` reads a column of its kind; None where a value names nobody.

    A request may mix kinds, and pandas makes floats of whole numbers beside a null.

    Args:
        values: of any kinds; None, NaN, pandas' NA and blank text are no ids.
        name: of the column, for the error.

    Raises:
        UnreadableId: a float is too large to tell its id from the next one.
    """
    by_kind: dict[type, list[Any]] = {}
    for value in values:
        by_kind.setdefault(type(value), []).append(value)
    texts = {kind: iter(_of_one_kind(same, name)) for kind, same in by_kind.items()}
    return [next(texts[type(value)]) for value in values]


def _of_one_kind(values: list[Any], name: str) -> list[str | None]:
    if isinstance(values[0], str) or type(values[0]) is int:  # a Python int may be longer than any column's
        return as_text(pl.Series([str(value) for value in values], dtype=pl.String)).to_list()
    if isinstance(values[0], float | np.floating):
        too_large = next((value for value in values if abs(value) >= WHOLE_FLOATS), None)
        if too_large is not None:
            raise UnreadableId(
                f"{name} {too_large!r} came as a float, which cannot hold an id of 2**53 or more; "
                "whole numbers beside a null come as floats: send ids as strings"
            )
        return as_text(pl.Series(values, dtype=pl.Float64)).to_list()
    missing = [value is None or value is pd.NA or value is pd.NaT for value in values]
    return [None] * len(values) if all(missing) else as_text(pl.Series(values)).to_list()
