"""Reads a CSV file so that every one of its lines is accounted for: a row, part of a row, or a malformed line.

Quotes are read strictly, as RFC 4180 has them: a value that begins with a quote ends with one, and a quote inside it is
doubled. A quote in the middle of an unquoted value (`tv 42"`) is a character like any other. A line that cannot be read
so costs itself alone: where an unpaired quote has swallowed the lines behind it, these are read again, each by itself.
"""

import csv
import gzip
import io
import zlib
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO

import polars as pl
import pyarrow as pa

from config import Format

# What the rows of a file tell of themselves, beside their values; only malformed lines have it.
REFUSED = "refused"  # why the row cannot be used
RAW_LINE = "raw_line"  # its text in the file
RAW_PLACE = "raw_place"  # file and line
NOTES = (REFUSED, RAW_LINE, RAW_PLACE)

ROWS_AT_A_TIME = 50_000
BYTE_ORDER_MARKS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}


@dataclass(frozen=True)
class Line:
    """A line that is no row of the file's columns."""

    number: int  # of the line in the file, from 1
    text: str
    why: str

    def note(self, path: Path) -> dict[str, str]:
        """Returns the values of NOTES."""
        reason = f"malformed line of {path.name}: {self.why}"
        return {REFUSED: reason, RAW_LINE: self.text, RAW_PLACE: f"{path}, line {self.number}"}


def read_csv(path: Path, form: Format, wanted: dict[str, str]) -> tuple[pl.DataFrame, list[str]]:
    """Reads the columns that are wanted, as strings, and every malformed line as a row with the columns of NOTES.

    Args:
        path: the file; .gz and .zst are unpacked.
        form: how the file is written.
        wanted: the name that each column gets -> its name in the file; columns that the file lacks are left out, and
            where it has none of them, all of its columns are read under their own names.

    Returns:
        The rows in the order of the file, and all column names of the file.

    Raises:
        ValueError: the file cannot be unpacked or decoded, or its lines and the rows read from them do not agree.
    """
    try:
        with _text(path, form) as text:
            return _read(path, text, form, wanted)
    except (EOFError, zlib.error, gzip.BadGzipFile, OSError) as error:
        if isinstance(error, FileNotFoundError | PermissionError):
            raise
        raise ValueError(f"{path} cannot be unpacked ({error}): it is cut short or damaged; write it again") from error
    except (UnicodeError, LookupError) as error:
        raise ValueError(
            f"{path} is not {form.encoding} text ({error}): set the source's format.encoding, or write it as UTF-8"
        ) from error


def _text(path: Path, form: Format) -> IO[str]:
    with _bytes(path) as stream:
        start = stream.read(2)
    encoding = form.encoding
    if encoding.lower().replace("-", "") == "utf8":
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


def _read(path: Path, text: IO[str], form: Format, wanted: dict[str, str]) -> tuple[pl.DataFrame, list[str]]:
    lines = _Lines(text)
    reader = _Records(lines, form.dialect(path.name))
    header = next(iter(reader.records()), None)
    if header is None:
        return pl.DataFrame(), []
    if isinstance(header, Line):
        raise ValueError(f"{path}, line {header.number}, where the column names should be: {header.why}")
    reader.width = len(header)
    columns = {name: header.index(source) for name, source in wanted.items() if source in header}
    if not columns:
        columns = {name: n for n, name in enumerate(header)}
    frames = [_frame(path, rows, columns) for rows in reader.batches()]
    if lines.read != reader.accounted:
        raise ValueError(
            f"{path}: of its {lines.read} lines, {reader.accounted} were read as rows, up to line {lines.number}; "
            "nothing is taken from a file of which lines may be lost"
        )
    return pl.concat(frames, how="diagonal") if frames else _frame(path, [], columns), header


def _frame(path: Path, rows: list[list[str] | Line], columns: dict[str, int]) -> pl.DataFrame:
    malformed = any(isinstance(row, Line) for row in rows)
    values: dict[str, Sequence[str | None]] = {}
    if malformed:
        for name, n in columns.items():
            values[name] = [None if isinstance(row, Line) else row[n] for row in rows]
    elif rows:
        by_column = list(zip(*rows, strict=True))
        values = {name: by_column[n] for name, n in columns.items()}
    if malformed:
        for note in NOTES:
            values[note] = [row.note(path)[note] if isinstance(row, Line) else None for row in rows]
    return pl.DataFrame(values, schema=dict.fromkeys(values or columns, pl.String))


class _Lines(Iterator[str]):
    """The lines of a text, each with its number; lines may be given back, to be read again."""

    def __init__(self, text: IO[str]) -> None:
        self._text = text
        self._again: deque[str] = deque()
        self.number = 0  # of the line read last
        self.read = 0  # lines that the file has had so far
        self.taken: list[str] = []  # lines of the record that is being read

    def __next__(self) -> str:
        if self._again:
            line = self._again.popleft()
        else:
            line = next(self._text)
            self.read += 1
        self.number += 1
        self.taken.append(line)
        return line

    def take(self, count: int) -> list[str]:
        """Takes up to so many lines at once."""
        again = [self._again.popleft() for _ in range(min(count, len(self._again)))]
        new = list(islice(self._text, count - len(again)))
        self.read += len(new)
        self.taken = again + new
        self.number += len(self.taken)
        return self.taken

    def keep_first(self) -> str:
        """Gives back all lines taken but the first, and returns that one."""
        self.keep(1)
        return self.taken[0]

    def keep(self, count: int) -> None:
        """Gives back all lines taken but so many."""
        others, self.taken = self.taken[count:], self.taken[:count]
        self._again.extendleft(reversed(others))
        self.number -= len(others)


class _Records:
    """The records of a file's lines: lists of values, or the lines that make none."""

    def __init__(self, lines: _Lines, dialect: dict[str, object]) -> None:
        self._lines, self._dialect = lines, dialect
        self.width: int | None = None  # values of a record
        self.accounted = 0  # lines that have gone into records, malformed lines or blank ones

    def batches(self) -> Iterator[list[list[str] | Line]]:
        """Yields the records, many at a time; where every line is one, they are read at once."""
        while block := self._lines.take(ROWS_AT_A_TIME):
            if rows := self._plain(block):
                self.accounted += len(block)
                yield rows
            else:
                self._lines.keep(0)
                yield list(islice(self.records(), ROWS_AT_A_TIME))

    def _plain(self, block: list[str]) -> list[list[str] | Line] | None:
        """Returns a record for each line; None where a line is none, or may be a part of one."""
        try:
            rows = list(csv.reader(block, strict=True, **self._dialect))  # type: ignore[arg-type]
        except csv.Error:
            return None
        plain = len(rows) == len(block) and all(len(row) == self.width for row in rows) and _is_text("".join(block))
        return list(rows) if plain else None

    def records(self) -> Iterator[list[str] | Line]:
        lines = self._lines
        reader = self._reader()
        while True:
            lines.taken = []
            try:
                values = next(reader)
                why = self._fault(values)
            except StopIteration:
                return
            except csv.Error as error:
                values, why = [], _explained(error)
            if why is not None:
                text = lines.keep_first()
                reader = self._reader()  # the old one may be in the middle of a value
                yield self._counted(Line(lines.number, _shown(text), why))
            elif values:
                yield self._counted(values)
            else:
                self.accounted += len(lines.taken)  # a blank line

    def _reader(self) -> "csv._reader":  # type: ignore[name-defined]
        return csv.reader(self._lines, strict=True, **self._dialect)  # type: ignore[arg-type]

    def _counted(self, record: list[str] | Line) -> list[str] | Line:
        self.accounted += len(self._lines.taken)
        return record

    def _fault(self, values: list[str]) -> str | None:
        taken = self._lines.taken
        if self.width is not None and values and len(values) != self.width:
            return f"{len(values)} fields, where the file has {self.width} columns"
        if len(taken) > 1 and self.width is not None and any(self._is_row(line) for line in taken[1:]):
            return "a quote opens a value that would swallow the rows behind it"
        if not all(line.isascii() for line in taken) and not _is_text("".join(taken)):
            return "characters that are not of the file's encoding"
        return None

    def _is_row(self, line: str) -> bool:
        """Says whether a line inside a quoted value would be a whole row by itself."""
        return len(next(csv.reader([line], **self._dialect), [])) == self.width  # type: ignore[arg-type]


def _explained(error: csv.Error) -> str:
    message = str(error)
    if "expected after" in message:
        return "a quote inside a quoted value is neither doubled nor escaped as format.escape says"
    if "unexpected end of data" in message or "field limit" in message:
        return "a quote opens a value that nothing closes"
    return message


def _shown(text: str) -> str:
    """Returns a line as valid text: bytes that are none in the file's encoding are written in hexadecimal."""
    return text.rstrip("\r\n").encode(errors="surrogateescape").decode(errors="backslashreplace")


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
