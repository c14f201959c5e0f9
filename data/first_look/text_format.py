"""Guesses how a text file is written: encoding, delimiter, quote, escape and decimal point."""

import codecs
import csv
import gzip
import re
import zlib
from collections import Counter
from pathlib import Path

import pyarrow as pa

from config import Format
from data.raw.csv_rows import BYTE_ORDER_MARKS
from data.raw.own_files import TEXTS

PEEK_BYTES = 1 << 18
PEEK_LINES = 1000
DELIMITERS = ",\t;|"
FEW = 0.01  # lines that are no UTF-8 do not make another encoding of a file, but malformed lines
DECIMAL_COMMA = re.compile(r"^-?\d+,\d+$")


def is_text(path: Path) -> bool:
    """Says whether a file is read as CSV."""
    name = path.name.lower().removesuffix(".gz").removesuffix(".zst")
    return name.endswith(TEXTS)


def guess_format(path: Path) -> Format:
    """Guesses from the beginning of a file; what is as usual stays at its default.

    Raises:
        ValueError: the file cannot be unpacked.
    """
    start = _beginning(path)
    encoding = _encoding(start)
    lines = start.decode(encoding, errors="replace").splitlines()[:PEEK_LINES]
    lines = [line for line in lines if line.strip()]
    if not lines:
        return Format(encoding=encoding)
    if encoding == "utf-8":
        lines[0] = lines[0].removeprefix("\ufeff")
    usual = Format().dialect(path.name)["delimiter"]
    quote = "'" if _quoted(lines, "'") > _quoted(lines, '"') else '"'
    delimiter = max((usual, *DELIMITERS), key=lambda mark: _columns(lines, mark, quote))
    escape = "\\" if quote == '"' and any('\\"' in line for line in lines) else None
    return Format(
        delimiter=None if delimiter == usual else delimiter,
        quote=quote,
        escape=escape,
        decimal="," if delimiter != "," and _has_decimal_commas(lines, delimiter, quote) else ".",
        encoding=encoding,
    )


def _beginning(path: Path) -> bytes:
    name = path.name.lower()
    try:
        if name.endswith(".gz"):
            with gzip.open(path) as stream:
                return stream.read(PEEK_BYTES)
        if name.endswith(".zst"):
            with pa.CompressedInputStream(pa.OSFile(str(path)), "zstd") as stream:
                return stream.read(PEEK_BYTES)
        with path.open("rb") as plain:
            return plain.read(PEEK_BYTES)
    except (EOFError, zlib.error, gzip.BadGzipFile, OSError) as error:
        if isinstance(error, FileNotFoundError | PermissionError):
            raise
        raise ValueError(f"{path} cannot be unpacked ({error}): it is cut short or damaged; write it again") from error


def _encoding(start: bytes) -> str:
    if start[:2] in BYTE_ORDER_MARKS:
        return BYTE_ORDER_MARKS[start[:2]]
    try:
        codecs.getincrementaldecoder("utf-8")().decode(start)  # the last character may be cut
        return "utf-8"
    except UnicodeDecodeError:
        lines = [line for line in start.splitlines()[:-1] if not line.isascii()]
        wrong = sum("\ufffd" in line.decode(errors="replace") for line in lines)
        return "utf-8" if wrong <= FEW * len(lines) else "cp1252"


def _quoted(lines: list[str], quote: str) -> int:
    """Counts values that a quote opens or closes."""
    edge = re.compile(rf"(?:^|[{DELIMITERS}]){quote}[^{quote}]*{quote}(?=$|[{DELIMITERS}])")
    return sum(len(edge.findall(line)) for line in lines)


def _columns(lines: list[str], delimiter: str, quote: str) -> tuple[float, int]:
    """Says how many lines have as many values as the first one, if it has several, and how many these are."""
    try:
        widths = Counter(len(row) for row in csv.reader(lines, delimiter=delimiter, quotechar=quote))
        width = len(next(csv.reader(lines[:1], delimiter=delimiter, quotechar=quote)))
    except csv.Error:
        return 0.0, 0
    return (round(widths[width] / len(lines), 1), width) if width > 1 else (0.0, 1)


def _has_decimal_commas(lines: list[str], delimiter: str, quote: str) -> bool:
    values = [value for row in csv.reader(lines[1:], delimiter=delimiter, quotechar=quote) for value in row]
    commas = sum(bool(DECIMAL_COMMA.match(value)) for value in values)
    return commas > sum(bool(re.match(r"^-?\d+\.\d+$", value)) for value in values)
