"""Ids and categories as text: the same one is the same text, whatever type and whichever file it comes in.

A whole number is written alike from an integer, a float and a decimal column, and from text that a float was written as
(`7.0`, as pandas writes integers beside a gap). All other text is taken as it stands: `007` is not `7`.
A float holds every whole number only up to a size; from there on two ids may have become one, so none is taken; a
category is, as it stands.
"""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import polars as pl

INEXACT = "a float too large to hold an id exactly; write ids as integers or text"

# Whole numbers up to here are floats of their own, by type.
LARGEST: dict[type[pl.DataType], float] = {pl.Float32: 2.0**24, pl.Float64: 2.0**53}
WRITTEN_FLOAT = r"^-?(\d+\.0+|\d(\.\d+)?[eE]\+\d+)$"


_SPECIAL = re.compile(rf"^\s*$|{WRITTEN_FLOAT}")  # text that `as_ids` may read as something else


class UnreadableId(ValueError):
    """An id of a request that cannot be read without taking one for another."""


def as_ids(column: pl.Series) -> tuple[pl.Series, pl.Series]:
    """Returns ids as strings, null where there is none, and which of them are floats that do not hold their id.

    Args:
        column: values of any type; of lists, structs and bytes no id can be made.
    """
    kind = column.dtype
    if kind.is_float():
        value = column.fill_nan(None)
        text = _float_text(value)
        inexact = (value.cast(pl.Float64).abs() >= LARGEST.get(kind.base_type(), 2.0**11)).fill_null(False)
    elif kind.is_nested() or kind in (pl.Binary, pl.Object):
        text = pl.Series(column.name, [None] * len(column), dtype=pl.String)
        inexact = pl.repeat(False, len(column), dtype=pl.Boolean, eager=True)
    elif kind.is_decimal():
        text = column.cast(pl.String).str.replace(r"\.0+$", "")
        inexact = pl.repeat(False, len(column), dtype=pl.Boolean, eager=True)
    else:
        text = column.cast(pl.String)
        text = text.set(text.str.strip_chars() == "", None)
        inexact = pl.repeat(False, len(column), dtype=pl.Boolean, eager=True)
        if kind in (pl.String, pl.Categorical, pl.Enum):
            written = text.str.contains(WRITTEN_FLOAT).fill_null(False)
            if written.any():
                value = pl.select(pl.when(written).then(text).cast(pl.Float64, strict=False)).to_series()
                inexact = (value.abs() >= LARGEST[pl.Float64]).fill_null(False)
                whole = written & ~inexact
                text = pl.select(pl.when(whole).then(_float_text(value)).otherwise(text)).to_series()
    return text.alias(column.name), inexact.alias(column.name)


def as_text(column: pl.Series) -> pl.Series:
    """Returns categories as strings, read as ids are; a float too large for an id stays as it stands.

    A truth value is `true` or `false`, also where Python has written it (`True`, as pandas does to CSV).
    """
    return as_ids(column)[0].replace({"True": "true", "False": "false"})


def ids_of_request(values: Sequence[Any], name: str) -> list[str | None]:
    """Reads a request's ids, each as `as_ids` reads a column of its kind; None where a value names nobody.

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


def one_id(parts: list[pl.Series]) -> pl.Series:
    """Puts ids together to one, `a:b`, so that different parts never make the same; null where a part is."""
    escaped = [
        part.str.replace_all("\\", "\\\\", literal=True).str.replace_all(":", "\\:", literal=True) for part in parts
    ]
    return pl.select(pl.concat_str(escaped, separator=":")).to_series()


def _float_text(value: pl.Series) -> pl.Series:
    whole = (value == value.floor()) & (value.abs() < LARGEST[pl.Float64])
    integers = value.cast(pl.Float64).cast(pl.Int64, strict=False).cast(pl.String)
    return pl.select(pl.when(whole).then(integers).otherwise(value.cast(pl.String))).to_series()


def _of_one_kind(values: list[Any], name: str) -> list[str | None]:
    if isinstance(values[0], str) or type(values[0]) is int:  # a Python int may be longer than any column's
        texts = [str(value) for value in values]
        if not any(_SPECIAL.search(text) for text in texts):
            return list(texts)  # what `as_ids` makes of them, without a column: a request waits for it
        column = pl.Series(texts, dtype=pl.String)
    elif isinstance(values[0], float | np.floating):
        column = pl.Series(values, dtype=pl.Float64)
    elif all(value is None or value is pd.NA or value is pd.NaT for value in values):
        return [None] * len(values)
    else:
        column = pl.Series(values)
    text, inexact = as_ids(column)
    if inexact.any():
        value = values[int(inexact.arg_max() or 0)]
        raise UnreadableId(
            f"{name} {value!r} came as a float, which cannot hold an id of 2**53 or more; "
            "whole numbers beside a null come as floats: send ids as strings"
        )
    return text.to_list()
