"""Where partitions lie, folders or an S3 bucket, and the few steps that a commit takes there."""

import os
import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pyarrow.fs import FileSelector, FileSystem, FileType, LocalFileSystem, copy_files

from config import PlatformConfig
from storage.places import copies_dir, table_dir
from storage.replace import replace_file, replace_folder, sync_folder

COPIED_BYTES = 1 << 23  # at once
KEPT_COPIES = 2  # of a partition: the newest version, and the one that a reader may still be at


@dataclass(frozen=True)
class Lake(ABC):
    """A tree of files. Paths are relative to its root, with slashes.

    No step needs more than S3 offers, or a shared file system: nothing but single files is put in place or renamed.
    """

    files: FileSystem
    root: str  # in `files`
    shown: str  # the root, in messages

    @abstractmethod
    def writing(self, folder: str) -> AbstractContextManager[Path]:
        """Yields a local folder to write files into; they are all in `folder` when the block ends well, none if not."""

    @abstractmethod
    def put(self, path: str, content: bytes) -> None:
        """Puts a file in place of an old one, if any: whoever reads it meanwhile reads one of them, whole."""

    @abstractmethod
    def local(self, folder: str, names: Sequence[str]) -> Path:
        """Returns a folder of this machine with the named files of a folder that never changes."""

    def full(self, path: str) -> str:
        """Returns a path as `files` takes it."""
        return f"{self.root}/{path}" if path else self.root

    def get(self, path: str) -> bytes | None:
        """Reads a file; None where there is none."""
        try:
            with self.files.open_input_file(self.full(path)) as file:
                return bytes(file.read())  # in one piece
        except FileNotFoundError:
            return None

    def names(self, folder: str) -> list[str]:
        """Returns the names of what lies in a folder, sorted; none where there is no folder."""
        entries = self.files.get_file_info(FileSelector(self.full(folder), allow_not_found=True))
        return sorted(entry.base_name for entry in entries)

    def are_files(self, paths: Sequence[str]) -> list[bool]:
        """Says of each path whether there is a file."""
        return [info.type is FileType.File for info in self.files.get_file_info([self.full(p) for p in paths])]

    def remove(self, path: str) -> None:
        """Removes a file, or a folder with all in it; nothing where it is gone: another process may remove it too."""
        with suppress(FileNotFoundError):
            if self.files.get_file_info(self.full(path)).type is FileType.Directory:
                self.files.delete_dir(self.full(path))
            else:
                self.files.delete_file(self.full(path))


class FolderLake(Lake):
    """A folder: of this machine, or of a file system that machines share."""

    @contextmanager
    def writing(self, folder: str) -> Iterator[Path]:
        """Yields the folder itself: nobody reads it before a manifest names it."""
        path = Path(self.full(folder))
        path.mkdir(parents=True)
        try:
            yield path
            sync_folder(path)
        except BaseException:
            shutil.rmtree(path, ignore_errors=True)
            raise

    def put(self, path: str, content: bytes) -> None:
        """Renames a file, which is atomic."""
        with replace_file(Path(self.full(path))) as aside:
            aside.write_bytes(content)

    def local(self, folder: str, names: Sequence[str]) -> Path:
        """Returns the folder itself."""
        return Path(self.full(folder))


@dataclass(frozen=True)
class S3Lake(Lake):
    """A bucket, or a part of one. What is written or read as a folder lies on this machine too, as a copy."""

    copies: Path

    @contextmanager
    def writing(self, folder: str) -> Iterator[Path]:
        """Yields a folder of this machine, and uploads it; it becomes the copy of what it wrote."""
        try:
            with self._copy(folder) as path:
                yield path
                copy_files(
                    str(path), self.full(folder), source_filesystem=LocalFileSystem(), destination_filesystem=self.files
                )
        except BaseException:
            self.remove(folder)
            raise

    def put(self, path: str, content: bytes) -> None:
        """Uploads an object, which is atomic."""
        with self.files.open_output_stream(self.full(path)) as stream:
            stream.write(content)

    def get(self, path: str) -> bytes | None:
        """Reads an object, again where it was replaced meanwhile: Arrow cuts a new one at the length of the old."""
        while True:
            content = super().get(path)
            if content is None or len(content) == self.files.get_file_info(self.full(path)).size:
                return content

    def local(self, folder: str, names: Sequence[str]) -> Path:
        """Downloads the files where this machine has no copy of the folder.

        Raises:
            FileNotFoundError: one of them is gone.
        """
        path = self.copies / folder
        if not path.exists():
            with self._copy(folder) as copy:
                for name in names:
                    (copy / name).parent.mkdir(parents=True, exist_ok=True)
                    remote = self.files.open_input_stream(self.full(f"{folder}/{name}"))
                    with remote as source, (copy / name).open("wb") as target:
                        shutil.copyfileobj(source, target, COPIED_BYTES)
        return path

    @contextmanager
    def _copy(self, folder: str) -> Iterator[Path]:
        """Yields a folder that becomes the copy, and removes the copies of old versions."""
        path = self.copies / folder
        name = ".".join(Path(folder).parent.parts)  # without the version: what was left of another one is removed, too
        with replace_folder(path, staging_root=self.copies / "_staging", name=name) as copy:
            yield copy
        for old in sorted(path.parent.iterdir())[:-KEPT_COPIES]:
            shutil.rmtree(old, ignore_errors=True)


def lake_of(config: PlatformConfig) -> Lake:
    """Returns the lake of the chosen data source: below `storage.root`, or where `storage.lake` says.

    Raises:
        ValueError: what `storage.lake` names cannot be opened.
    """
    address = config.storage.lake
    if not address:
        folder = os.fspath(table_dir(config, ""))
        return FolderLake(LocalFileSystem(), folder, folder)
    files, root = _bucket(address)
    shown = f"{address.partition('?')[0].rstrip('/')}/{config.data_source}"
    return S3Lake(files, f"{root.rstrip('/')}/{config.data_source}", shown, copies_dir(config))


@cache
def _bucket(address: str) -> tuple[FileSystem, str]:
    try:
        files, root = FileSystem.from_uri(address)
    except (OSError, ValueError) as error:
        raise ValueError(f"storage.lake {address!r} cannot be opened (s3://bucket/folder): {error}") from error
    return files, root
