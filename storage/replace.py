"""Files and folders written aside and put in place by one step, which is atomic for files.

For folders it is on local Linux file systems. They hold pages, checkpoints and copies; a partition's commit renames a
file alone (`storage.partitions`).
"""

import ctypes
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from glob import escape
from pathlib import Path

from storage.owners import abandoned, new_name

AT_FDCWD, RENAME_EXCHANGE = -100, 2  # linux/fs.h


@contextmanager
def replace_folder(target: Path, *, staging_root: Path, name: str) -> Iterator[Path]:
    """Yields an empty folder, and puts it in place of `target` by one rename when the block ends well.

    If the block raises or the process dies, `target` is untouched.

    Args:
        target: the folder to make or to replace.
        staging_root: where the new folder lies until then; on the file system of `target`.
        name: of the thing replaced, unique below `staging_root`: what killed attempts left of it is removed.
    """
    staging = _aside(staging_root, name)
    staging.mkdir(parents=True)
    try:
        yield staging
        target.parent.mkdir(parents=True, exist_ok=True)
        sync_folder(staging)
        _put_in_place(staging, target)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


@contextmanager
def replace_file(target: Path, *, mode: int = 0o644) -> Iterator[Path]:
    """Yields a path to write a file at, and puts it in place of `target` by one rename when the block ends well.

    If the block raises or the process dies, `target` is untouched. Its folder is made where it is missing.

    Args:
        target: the file to make or to replace.
        mode: who may read it, from the first byte on.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = _aside(target.parent, f".{target.name}")
    aside.touch(mode=mode)
    try:
        yield aside
        _sync_one(aside)
        os.replace(aside, target)
        _sync_one(target.parent)
    finally:
        aside.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Waits until a folder and all in it are on the disk."""
    for path in [*folder.rglob("*"), folder]:
        _sync_one(path)


def _aside(folder: Path, name: str) -> Path:
    """Returns a path of this process's own, and removes what killed processes left of the same name."""
    for leftover in folder.glob(f"{escape(name)}.*"):
        if abandoned(leftover.name.removeprefix(f"{name}.")):
            shutil.rmtree(leftover, ignore_errors=True) if leftover.is_dir() else leftover.unlink(missing_ok=True)
    return folder / f"{name}.{new_name()}"


def _sync_one(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


def _put_in_place(staging: Path, target: Path) -> None:
    """Renames staging to target. An existing target is swapped out in the same atomic step where the system can."""
    if not target.exists():
        os.rename(staging, target)
        return
    libc = ctypes.CDLL(None, use_errno=True)
    exchange = getattr(libc, "renameat2", None)
    if exchange and exchange(AT_FDCWD, bytes(staging), AT_FDCWD, bytes(target), RENAME_EXCHANGE) == 0:
        return  # staging now holds the old folder; the caller removes it
    # No exchange on this file system: for an instant there is no folder, which readers refuse and a retry repairs.
    old = staging.with_name(staging.name + ".old")
    os.rename(target, old)
    os.rename(staging, target)
    shutil.rmtree(old)
