"""Draws a sample of a log: rows of files that are spread over its span, with bounded memory."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import polars as pl

from config import Format
from data.first_look.text_format import is_text
from data.raw.csv_rows import NOTES
from data.raw.own_files import day_of
from data.raw.own_rows import read_rows, together
from data.raw.sampling import Read

FILES = 24  # files of which rows are read, at most
ROW = "="  # before a column's name while it is read, so that none is called as one of NOTES


@dataclass(frozen=True)
class Piece:
    """What was read of one file."""

    path: Path
    day: date | None  # that the names carry
    rows: pl.DataFrame
    total: int  # rows of the file, or those before reading stopped
    whole: bool

    @property
    def shows_every_day(self) -> bool:
        """Says whether a day without a row in the sample has none in the file."""
        return self.day is not None or self.rows.height == self.total

    @property
    def weight(self) -> float:
        """Returns how many rows of the file one of the sample stands for."""
        return self.total / self.rows.height if self.rows.height else 0.0


@dataclass
class Sample:
    """Pieces of a log, in the order of days and names, and the files that cannot be read, with the reason."""

    pieces: list[Piece] = field(default_factory=list)
    unreadable: dict[Path, str] = field(default_factory=dict)

    @property
    def rows(self) -> pl.DataFrame:
        """Returns the rows of all pieces; the names are the files' own."""
        frames = [piece.rows for piece in self.pieces if piece.rows.width]
        return together(frames) if frames else pl.DataFrame()

    def for_each_row(self, value: Callable[[Piece], float | date | None], kind: type[pl.DataType]) -> pl.Series:
        """Returns a value of its piece for each of `rows`."""
        parts = [
            pl.select(pl.repeat(value(piece), piece.rows.height, dtype=kind)).to_series()
            for piece in self.pieces
            if piece.rows.width
        ]
        return pl.concat(parts) if parts else pl.Series(dtype=kind)


def spread(root: Path, files: list[Path]) -> list[Path]:
    """Returns up to FILES files, evenly spread over the days in their names, first and last among them."""
    ordered = sorted(files, key=lambda path: (day_of(root, path) or date.min, path))
    if len(ordered) <= FILES:
        return ordered
    return [ordered[n * (len(ordered) - 1) // (FILES - 1)] for n in range(FILES)]


def take(root: Path, chosen: list[Path], rows: int, read: Callable[[Path, int], Read]) -> Sample:
    """Reads about so many rows of the chosen files, alike many of each.

    Args:
        root: the log's path.
        chosen: the files.
        rows: of all files together.
        read: reads up to so many rows of one file.
    """
    sample = Sample()
    for path in chosen:
        try:
            found = read(path, max(rows // len(chosen), 1))
        except (ValueError, OSError) as error:
            sample.unreadable[path] = str(error)
            continue
        sample.pieces.append(Piece(path, day_of(root, path), found.rows, found.total, found.whole))
    return sample


def _with_points(rows: pl.DataFrame) -> pl.DataFrame:
    """Writes numbers with a decimal comma as ingest reads them, in columns that hold nothing else."""
    texts = [name for name in rows.columns if rows[name].drop_nulls().str.contains(r"^(-?\d+(,\d+)?)?$").all()]
    return rows.with_columns(pl.col(name).str.replace(",", ".", literal=True) for name in texts)


def reader(form: Format, used: Collection[str] | None = None) -> Callable[[Path, int], Read]:
    """Returns a function that reads every column of a file under its own name; malformed lines are left out.

    Args:
        form: how CSV files are written.
        used: the columns that an entry names; others may stand twice, and are left out then. None: none may.
    """

    def read(path: Path, sample: int) -> Read:
        names = read_rows(path, form, {}, (), (), sample=1).names
        names = [name for name in names if used is None or name in used or names.count(name) == 1]
        found = read_rows(path, form, {ROW + name: name for name in names}, (), (), sample=sample)
        usable = found.rows
        if NOTES[0] in usable.columns:
            usable = usable.filter(pl.col(NOTES[0]).is_null())
        values = [column for column in usable.columns if column.startswith(ROW)]
        rows = usable.select(pl.col(name).alias(name.removeprefix(ROW)) for name in values)
        return found._replace(rows=_with_points(rows) if form.decimal == "," and is_text(path) else rows)

    return read
