"""Reads a CSV file so that every one of its lines is accounted for: a row, part of a row, or a malformed line.

Quotes are read strictly, as RFC 4180 has them: a value that begins with a quote ends with one, and a quote inside it is
doubled. A quote in the middle of an unquoted value (`tv 42"`) is a character like any other. A line that cannot be read
so costs itself alone: where an unpaired quote has swallowed the lines behind it, these are read again, each by itself.
"""

import codecs
import gzip
import io
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import polars as pl
import pyarrow as pa

from config import Format
from data.raw.csv_records import Line, Lines, Records
from data.raw.sampling import READ_PER_ROW, Read, Stretches, stretches_of

# What the rows of a file tell of themselves, beside their values; only malformed lines have it, and rows of a sample
# have their place.
REFUSED = "refused"  # why the row cannot be used
RAW_LINE = "raw_line"  # its text in the file
RAW_PLACE = "raw_place"  # file and line
NOTES = (REFUSED, RAW_LINE, RAW_PLACE)

BYTE_ORDER_MARKS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}


def read_csv(path: Path, form: Format, wanted: dict[str, str], sample: int | None = None) -> Read:
    """Reads the columns that are wanted, as strings, and every malformed line as a row with the columns of NOTES.

    Args:
        path: the file; .gz and .zst are unpacked.
        form: how the file is written.
        wanted: the name that each column gets -> its name in the file; columns that the file lacks are left out, and
            where it has none of them, all of its columns are read under their own names.
        sample: None reads every row; else about so many at most, spread over the file, each with its place.

    Returns:
        The rows in the order of the file, all column names of the file, and how many rows it has.

    Raises:
        ValueError: the file cannot be unpacked or decoded, it has a wanted column twice, or its lines and the rows read
            from them do not agree.
    """
    try:
        with _text(path, form) as text:
            return _read(path, text, form, wanted, sample)
    except (EOFError, zlib.error, gzip.BadGzipFile, OSError) as error:
        if isinstance(error, FileNotFoundError | PermissionError):
            raise
        raise ValueError(f"{path} cannot be unpacked ({error}): it is cut short or damaged; write it again") from error
    except (UnicodeError, LookupError) as error:
        raise ValueError(
            f"{path} is not {form.encoding} text ({error}): set the source's format.encoding, or write it as UTF-8"
        ) from error


def empty_notes(rows: pl.DataFrame) -> set[str]:
    """Returns which columns of NOTES are there and hold nothing."""
    return {name for name in NOTES if name in rows.columns and rows[name].null_count() == rows.height}


def _text(path: Path, form: Format) -> IO[str]:
    with _bytes(path) as stream:
        start = stream.read(2)
    encoding = codecs.lookup(form.encoding).name  # in Python's one spelling of many
    if encoding == "utf-8":
        if start in BYTE_ORDER_MARKS:
            raise ValueError(
                f"{path} is UTF-16, by its first two bytes: set the source's format.encoding: utf-16, "
                "or write it as UTF-8"
            )
        encoding = "utf-8-sig"
    # What is not in the encoding becomes lone surrogates, so that it costs its line and not the file.
    return io.TextIOWrapper(_bytes(path), encoding=encoding, errors="surrogateescape", newline="")


def _bytes(path: Path) -> IO[bytes]:
    name = path.name.lower()
    if name.endswith(".gz"):
        return gzip.open(path)  # type: ignore[return-value]
    if name.endswith(".zst"):
        return pa.CompressedInputStream(pa.OSFile(str(path)), "zstd")
    return path.open("rb")


def _read(path: Path, text: IO[str], form: Format, wanted: dict[str, str], sample: int | None) -> Read:
    dialect = form.dialect(path.name)
    lines = Lines(text)
    stretches = Stretches(stretches_of(sample or 1))
    reader = Records(lines, dialect, None if sample is None else max(sample // stretches.most, 1))
    header = next(reader.records(), None)
    if header is None:
        return Read(pl.DataFrame(), [], 0)
    if isinstance(header, Line):
        raise ValueError(f"{path}, line {header.number}, where the column names should be: {header.why}")
    for source in wanted.values():
        if header.count(source) > 1:
            raise ValueError(f"{path} has the column {source!r} twice: rename one")
    reader.width = len(header)
    columns = {name: header.index(source) for name, source in wanted.items() if source in header}
    if not columns:
        columns = {name: n for n, name in enumerate(header)}

    def frame_of(batch: str | list[list[str] | Line], starts: Sequence[int]) -> pl.DataFrame:
        frame = _bare(batch, dialect["delimiter"], columns) if isinstance(batch, str) else _frame(path, batch, columns)
        if frame.height != len(starts):
            raise _lost(path, lines)
        if sample is None:
            return frame
        return frame.with_columns(pl.Series(RAW_PLACE, [f"{path}, line {number}" for number in starts], pl.String))

    frames, total, ended, passed = [], 0, True, None
    for batch in reader.batches():
        total += len(reader.starts)
        if sample is None:
            frames.append(frame_of(batch, reader.starts))
            continue
        passed = None if (wanted_next := stretches.wants_next()) else (batch, reader.starts)
        if wanted_next:
            stretches.keep(frame_of(batch, reader.starts))
        if total >= sample * READ_PER_ROW:
            ended = False
            break
    if ended and lines.read != reader.accounted:
        raise _lost(path, lines)
    frames += stretches.kept
    if passed is not None:
        frames.append(frame_of(*passed))  # how the file ends tells how far it goes
    rows = pl.concat(frames, how="diagonal") if frames else _frame(path, [], columns)
    return Read(rows, header, total, ended)


def _lost(path: Path, lines: Lines) -> ValueError:
    return ValueError(
        f"{path}: up to line {lines.number}, not every line was read as a row; nothing is taken from a file of "
        "which rows may be lost"
    )


def _bare(text: str, delimiter: str, columns: dict[str, int]) -> pl.DataFrame:
    """Reads lines without any quote, each of which has a value for every column."""
    rows = pl.read_csv(
        text.encode(), separator=delimiter, has_header=False, quote_char=None, infer_schema=False, glob=False
    )
    return rows.select(pl.col(rows.columns[n]).alias(name) for name, n in columns.items())


def _frame(path: Path, rows: list[list[str] | Line], columns: dict[str, int]) -> pl.DataFrame:
    """Reads records; as in `_bare`, a value of no characters is null."""
    malformed = any(isinstance(row, Line) for row in rows)
    values: dict[str, Sequence[str | None]] = {}
    if malformed:
        for name, n in columns.items():
            values[name] = [None if isinstance(row, Line) else row[n] or None for row in rows]
        values[REFUSED] = [
            f"malformed line of {path.name}: {row.why}" if isinstance(row, Line) else None for row in rows
        ]
        values[RAW_LINE] = [row.text if isinstance(row, Line) else None for row in rows]
        values[RAW_PLACE] = [f"{path}, line {row.number}" if isinstance(row, Line) else None for row in rows]
    elif rows:
        by_column = list(zip(*rows, strict=True))
        values = {name: [value or None for value in by_column[n]] for name, n in columns.items()}
    return pl.DataFrame(values, schema=dict.fromkeys(values or columns, pl.String))
