"""Cuts lines of CSV into records, and accounts for each line: a record, a part of one, malformed or blank."""

import csv
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import IO

AT_A_TIME = 50_000  # lines


@dataclass(frozen=True)
class Line:
    """A line that is no record of the file's columns."""

    number: int  # of the line in the file, from 1
    text: str
    why: str


class Lines(Iterator[str]):
    """The lines of a text, each with its number; lines may be given back, to be read again."""

    def __init__(self, text: IO[str]) -> None:
        self._text = text
        self._again: deque[str] = deque()
        self.number = 0  # of the line read last
        self.read = 0  # lines that the file has had so far
        self.taken: list[str] = []  # lines of the record that is being read

    def __next__(self) -> str:
        line = self._again.popleft() if self._again else self._new()
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

    def keep(self, count: int) -> None:
        """Gives back all lines taken but the first so many."""
        others, self.taken = self.taken[count:], self.taken[:count]
        self._again.extendleft(reversed(others))
        self.number -= len(others)

    def _new(self) -> str:
        line = next(self._text)
        self.read += 1
        return line


class Records:
    """The records of a file's lines: lists of values, or the lines that make none."""

    def __init__(self, lines: Lines, dialect: dict[str, object], at_a_time: int | None = None) -> None:
        self._lines, self._dialect = lines, dialect
        self._at_a_time = at_a_time or AT_A_TIME
        self._first = 0  # line on which the newest of `records` begins
        self.starts: Sequence[int] = ()  # line on which each record of the newest batch begins
        self.width: int | None = None  # values of a record
        self.accounted = 0  # lines that have gone into records, malformed lines or blank ones

    def batches(self) -> Iterator[list[list[str] | Line] | str]:
        """Yields many records at a time: as they are in the file where there is one a line and nothing is quoted."""
        while block := self._lines.take(self._at_a_time):
            text = "".join(block)
            self.starts = range(self._lines.number - len(block) + 1, self._lines.number + 1)
            if self._is_bare(block, text):
                self.accounted += len(block)
                yield text.replace("\r\n", "\n")
            elif (rows := self._one_a_line(block)) and is_text(text):
                self.accounted += len(block)
                yield rows
            else:
                self._lines.keep(0)
                placed = [(record, self._first) for record in islice(self.records(), self._at_a_time)]
                self.starts = [first for _, first in placed]
                yield [record for record, _ in placed]

    def records(self) -> Iterator[list[str] | Line]:
        """Yields one record after the other; where one cannot be read, its first line, and goes on behind that."""
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
                lines.keep(1)
                reader = self._reader()  # the old one may be in the middle of a value
            self.accounted += len(lines.taken)
            self._first = lines.number - len(lines.taken) + 1
            if why is not None:
                yield Line(lines.number, _shown(lines.taken[0]), why)
            elif values:  # else the line is blank
                yield values

    def _reader(self) -> "csv._reader":  # type: ignore[name-defined]
        return csv.reader(self._lines, strict=True, **self._dialect)  # type: ignore[arg-type]

    def _is_bare(self, block: list[str], text: str) -> bool:
        """Says whether there is nothing to a block but values, delimiters and ends of lines, all in their places."""
        if self.width is None or self.width == 1:  # of one column, a blank line is no different from a record
            return False
        marks = [str(self._dialect[mark]) for mark in ("quotechar", "escapechar") if self._dialect[mark] is not None]
        delimiter, within = str(self._dialect["delimiter"]), self.width - 1
        return (
            delimiter.isascii()  # polars takes one byte
            and not any(mark in text for mark in marks)
            and text.count("\r") == text.count("\r\n")
            and all(line.count(delimiter) == within for line in block)
            and is_text(text)
        )

    def _one_a_line(self, block: list[str]) -> list[list[str] | Line] | None:
        """Returns a record for each line; None where a line is none, or may be a part of one."""
        try:
            rows = list(csv.reader(block, strict=True, **self._dialect))  # type: ignore[arg-type]
        except csv.Error:
            return None
        return list(rows) if len(rows) == len(block) and all(len(row) == self.width for row in rows) else None

    def _fault(self, values: list[str]) -> str | None:
        taken = self._lines.taken
        if self.width is not None and values and len(values) != self.width:
            return f"{len(values)} fields, where the file has {self.width} columns"
        if len(taken) > 1 and self.width is not None and self._swallows(taken):
            return "a quote opens a value that would swallow the rows behind it"
        if not all(line.isascii() for line in taken) and not is_text("".join(taken)):
            return "characters that are not of the file's encoding"
        return None

    def _swallows(self, lines: list[str]) -> bool:
        """Says whether lines of one record would be records by themselves if the quote left open were a character."""
        *closed, opened = self._cut(lines[0])
        first = len(closed) + len(self._cut("x" + opened))  # begun by x, a value is not quoted
        # Lines with quotes may run from the end of one value to the start of another; and the last line of an honest
        # value is a record where that value is the first one.
        quote = str(self._dialect["quotechar"])
        within = any(quote not in line and len(self._cut(line)) == self.width for line in lines[1:-1])
        return within or (first == self.width and len(self._cut(lines[-1])) == self.width)

    def _cut(self, line: str) -> list[str]:
        return next(csv.reader([line], **self._dialect), [])  # type: ignore[arg-type]


def is_text(text: str) -> bool:
    """Says whether a text is valid, without lone surrogates, which stand for bytes that could not be decoded."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _explained(error: csv.Error) -> str:
    message = str(error)
    if "expected after" in message:
        return "a quote inside a quoted value is neither doubled nor escaped as format.escape says"
    if "unexpected end of data" in message or "field limit" in message:
        return "a quote opens a value that nothing closes"
    return message


def _shown(line: str) -> str:
    """Returns a line as valid text: bytes that are none in the file's encoding are written in hexadecimal."""
    return line.rstrip("\r\n").encode(errors="surrogateescape").decode(errors="backslashreplace")
