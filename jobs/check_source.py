"""Looks at somebody's own log and writes the entry that reads it, or checks the entry there is.

- **Reads:** a sample of the files at `--path`; without it, of the chosen source's.
- **Writes:** nothing; it prints one page.

    python -m jobs check_source --path /data/my_log
    python -m jobs check_source --path /data/my_log --map label=was_played --map impression_id=request,ad

The page says what was found, what each column is taken for, and what would go to quarantine, by the readers and the
checks of `ingest`. It ends with an entry for `sources` in platform.yaml, or with what must be decided first: then the
exit code is 1.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jobs
from config import PlatformConfig
from data.first_look.look import look_at, look_at_source
from data.first_look.roles import MEANING
from reports.first_look_page import console_for_page, show


def main(config: PlatformConfig, *, path: str = "", sample: int = 100_000, map: Sequence[str] = ()) -> dict[str, Any]:
    """Prints the page.

    Args:
        config: the platform.
        path: files that no entry names; empty checks the chosen source's entry.
        sample: rows that are looked at, about.
        map: ROLE=COLUMN, in place of a guess; `impression_id=COLUMN,COLUMN` puts an id together.

    Returns:
        The source, whether its entry is ready, and what must be decided first.

    Raises:
        ValueError: an option is wrong, or the chosen source is not read from files of one's own.
    """
    told = dict(_role(option) for option in map)
    if sample < 1:
        raise ValueError(f"--sample is {sample}; give a number of rows, such as 100000")
    if told and not path:
        raise ValueError("--map goes with --path; the columns of an entry stand in platform.yaml")
    look = look_at(config, Path(path), sample, told) if path else look_at_source(config, sample)
    show(look, console_for_page())
    return {"source": look.name, "ready": look.ready, jobs.UNDECIDED: look.undecided}


def _role(option: str) -> tuple[str, list[str]]:
    role, _, columns = option.partition("=")
    names = [name for name in columns.split(",") if name]
    if role not in MEANING or not names or (len(names) > 1 and role != "impression_id"):
        raise ValueError(f"--map {option}: write ROLE=COLUMN, where ROLE is one of {', '.join(MEANING)}")
    return role, names
