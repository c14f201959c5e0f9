"""Finds the files of a user's own log, and the days that their names carry."""

import logging
import os
import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path

LOG = logging.getLogger("headwater.sources")

TABLES = (".parquet", ".pq")
TEXTS = (".csv", ".tsv")
SUFFIXES = (*TABLES, *(text + packed for text in TEXTS for packed in ("", ".gz", ".zst")))
HIDDEN = (".", "_")  # how the names of checkpoints, half-written files and tables' own records begin
DATE = re.compile(r"(?<!\d)(\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01]))(?!\d)")
KEY_DATE = re.compile(r"^[^=]+=(\d{4}-\d{2}-\d{2})$")  # the name of a folder that decides
NAMED = 3  # names shown of the files that are left out


def find_files(root: Path) -> tuple[list[Path], list[str]]:
    """Returns the log's files below `root`, by name, and what is left out, in words.

    Links are followed, and what two names lead to is read once. Hidden files and folders (`.`, `_`) are left out.
    """
    if root.is_file():
        return [root], []
    files: list[Path] = []
    hidden: list[Path] = []
    others: list[Path] = []
    again: list[Path] = []
    seen: set[str] = set()
    for path in _walk(root, hidden, again):
        if path.name.startswith(HIDDEN):
            hidden.append(path)
        elif not path.name.lower().endswith(SUFFIXES):
            others.append(path)
        elif os.path.realpath(path) in seen:
            again.append(path)
        else:
            seen.add(os.path.realpath(path))
            files.append(path)
    kinds = {
        "hidden, as their names begin with . or _": hidden,
        f"none of {', '.join(SUFFIXES)}": others,
        "links to what is read already": again,
    }
    return sorted(files), [_in_words(root, kind, paths) for kind, paths in kinds.items() if paths]


def day_of(root: Path, path: Path) -> date | None:
    """Returns the day that a file's name below `root` carries; None where there is none.

    The innermost folder called `KEY=DATE` decides; without one, the last date in the names.

    Raises:
        ValueError: the name carries a date that no calendar has.
    """
    stamps = _stamps(root, path)
    if not stamps:
        return None
    try:
        return date.fromisoformat(stamps[-1])
    except ValueError as error:
        raise ValueError(f"{path}: {stamps[-1]} in its name is no date ({error}); rename it") from error


def disagreement(root: Path, path: Path) -> str | None:
    """Says so where the names of a file and its folders carry several dates; None where they agree."""
    name = path.name if path == root else str(path.relative_to(root))
    others = sorted(set(DATE.findall(name)) - {stamp for stamp in _stamps(root, path)[-1:]})
    return f"{name} is taken for {day_of(root, path)}, though it also says {', '.join(others)}" if others else None


def _stamps(root: Path, path: Path) -> list[str]:
    """Returns the dates in the names of a file and its folders, the one that decides last."""
    if path == root:
        return DATE.findall(path.name)
    below = path.relative_to(root)
    keys = [match[1] for part in below.parent.parts if (match := KEY_DATE.match(part))]
    return [*DATE.findall(str(below)), *keys]


def _walk(root: Path, hidden: list[Path], again: list[Path]) -> Iterator[Path]:
    """Yields every file, those behind links after the others; a folder is entered once, rather not by a link to it."""
    entered: set[str] = set()
    links = [root]
    while links:
        start = links.pop(0)
        if os.path.realpath(start) in entered:
            again.append(start)
            continue
        linked_files = []
        for folder, folders, names in os.walk(start):
            entered.add(os.path.realpath(folder))
            here = Path(folder)
            hidden += [here / name for name in folders if name.startswith(HIDDEN)]
            folders[:] = sorted(name for name in folders if not name.startswith(HIDDEN))
            links += [here / name for name in folders if (here / name).is_symlink()]
            folders[:] = [name for name in folders if not (here / name).is_symlink()]
            for name in sorted(names):
                path = here / name
                if path.is_symlink():
                    linked_files.append(path)
                elif path.is_file():
                    yield path
        yield from (path for path in linked_files if path.is_file())


def _in_words(root: Path, kind: str, paths: list[Path]) -> str:
    names = [str(path.relative_to(root)) for path in paths[:NAMED]]
    return f"{len(paths)} {kind}: {', '.join(names)}{', …' if len(paths) > NAMED else ''}"
