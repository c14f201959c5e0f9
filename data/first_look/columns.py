"""What each column of a log holds: type, gaps, how many values, examples."""

from dataclasses import dataclass
from typing import Literal

import polars as pl

from data.ids import as_text
from data.validation import as_number, given, read_timestamps

Kind = Literal["empty", "truth", "integer", "number", "time", "text", "nested"]
NEARLY_ALL = 0.99  # of the values that are given; the others cost their rows, not the column its type
EXAMPLES = 3
FIRST_YEAR, LAST_YEAR = 2000, 2100  # numbers whose instants lie outside are taken for numbers
# Words that exports write for nothing; a reader takes them for values.
NOTHING = ("null", "none", "nan", "na", "n/a", "\\n", "<na>", "nil")


@dataclass(frozen=True)
class Column:
    """A column of the sample."""

    name: str
    kind: Kind
    values: pl.Series  # as text, null where there is none
    nulls: float  # share
    distinct: int
    examples: list[str]
    nothing: dict[str, float]  # words that stand for nothing, and their share

    @property
    def given(self) -> int:
        """Returns in how many rows there is a value."""
        return len(self.values) - self.values.null_count()


def profile(rows: pl.DataFrame) -> list[Column]:
    """Describes every column, in their order."""
    return [_profile(rows[name]) for name in rows.columns]


def as_times(column: pl.Series, time_zone: str = "UTC") -> pl.Series:
    """Reads instants as ingest does; null where they are none of a log's years."""
    instants = read_timestamps(column, time_zone)
    return instants.set(~instants.dt.year().is_between(FIRST_YEAR, LAST_YEAR), None)


def _profile(column: pl.Series) -> Column:
    there = given(column)
    nested = column.dtype.is_nested() or column.dtype in (pl.Binary, pl.Object)
    values = pl.Series(column.name, [None] * len(column), pl.String) if nested else as_text(column)
    values = values.set(~there, None)
    frequent = values.drop_nulls().value_counts(sort=True)
    words = frequent.filter(frequent[column.name].str.to_lowercase().is_in(NOTHING)) if frequent.height else frequent
    return Column(
        name=column.name,
        kind="nested" if nested else _kind(column.filter(there)),
        values=values,
        nulls=1 - int(there.sum()) / len(column) if len(column) else 1.0,
        distinct=frequent.height,
        examples=frequent[column.name].head(EXAMPLES).to_list(),
        nothing={word: count / len(column) for word, count in words.iter_rows()},
    )


def _kind(values: pl.Series) -> Kind:
    if not len(values):
        return "empty"
    kind = values.dtype
    if kind == pl.Boolean:
        return "truth"
    if kind in (pl.Date,) or isinstance(kind, pl.Datetime):
        return "time"
    if kind.is_integer():
        return "integer"
    if kind.is_numeric():
        return "number" if (values != values.floor()).any() else "integer"
    text = values.cast(pl.String).str.strip_chars()
    if text.str.to_lowercase().is_in(["true", "false"]).all():
        return "truth"
    enough = NEARLY_ALL * len(text)
    numbers = as_number(text)
    if len(numbers) - numbers.null_count() >= enough:
        return "integer" if text.str.contains(r"^-?\d+(\.0+)?$").sum() >= enough else "number"
    return "time" if len(text) - as_times(text).null_count() >= enough else "text"
