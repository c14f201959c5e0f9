"""A file or folder is replaced whole, or not at all."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

import storage


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    target = tmp_path / "new folder" / "a.json"
    for text in ("one", "two"):
        with storage.replace_file(target) as aside:
            aside.write_text(text)
            assert aside.parent == target.parent and not (target.exists() and target.read_text() == text)
        assert target.read_text() == text
    assert [path.name for path in target.parent.iterdir()] == ["a.json"]


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "a.json"
    target.write_text("old")
    with pytest.raises(OSError, match="disk"), storage.replace_file(target) as aside:
        aside.write_text("half")
        raise OSError("disk full")
    assert target.read_text() == "old" and len(list(tmp_path.iterdir())) == 1


def test_a_secret_is_never_readable_by_others(tmp_path: Path) -> None:
    with storage.replace_file(tmp_path / "secret", mode=0o600) as aside:
        assert stat.S_IMODE(aside.stat().st_mode) == 0o600
        aside.write_text("x")
    assert stat.S_IMODE((tmp_path / "secret").stat().st_mode) == 0o600


def test_what_a_killed_writer_left_is_swept_up_and_what_a_living_one_writes_is_not(tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    by_me = f".a[1].json.{storage.new_name()}"
    left, living = (tmp_path / by_me.replace(f"_{os.getpid()}_", f"_{pid}_") for pid in (dead.pid, os.getppid()))
    left.touch(), living.touch()
    with storage.replace_file(tmp_path / "a[1].json") as aside:
        aside.write_text("x")
    assert not left.exists() and living.exists()
