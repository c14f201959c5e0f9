"""A name tells whose it is, and whether they are still there."""

import os
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from storage.owners import abandoned, new_name


def test_names_differ_and_sort_by_time() -> None:
    names = [new_name() for _ in range(1000)]
    assert len(set(names)) == 1000 and [n[:22] for n in names] == sorted(n[:22] for n in names)


def test_a_dead_process_of_this_machine_has_abandoned_its_names_at_once() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as dead:
        dead.wait()
    mine = new_name()
    assert not abandoned(mine)
    assert not abandoned(mine.replace(f"_{os.getpid()}_", f"_{os.getppid()}_"))
    assert abandoned(mine.replace(f"_{os.getpid()}_", f"_{dead.pid}_"))


@pytest.mark.parametrize(("hours", "is_abandoned"), [(0, False), (23, False), (25, True)])
def test_another_machine_cannot_be_asked_and_has_a_day(hours: int, is_abandoned: bool) -> None:
    then = datetime.now(UTC) - timedelta(hours=hours)
    name = re.sub("^[^_]*_[^_]*_", f"{then:%Y%m%dT%H%M%S%fZ}_elsewhere-1_", new_name())
    assert abandoned(name) == is_abandoned


@pytest.mark.parametrize("name", ["_SUCCESS.json", "part-0.parquet", "", "model"])
def test_what_nobody_named_is_never_abandoned(name: str) -> None:
    assert not abandoned(name)
