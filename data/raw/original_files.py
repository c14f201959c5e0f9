"""The original files of a public data set, which the user downloads: where they are, and that they have their columns.

Nothing is fetched: these data sets ask for a registration, or are distributed by others than their authors.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from config import ROOT, Source


@dataclass(frozen=True)
class OriginalFiles:
    """A data set that is downloaded by hand; every error ends with where from."""

    source: str  # its name in platform.yaml
    data_set: str
    address: str

    def folder(self, source: Source) -> Path:
        """Returns the folder that the source's `path` names.

        Raises:
            FileNotFoundError: `path` is not set.
        """
        if source.path is None:
            raise FileNotFoundError(f"sources.{self.source}.path is not set: {self.advice}")
        return ROOT / source.path

    def find(self, source: Source, *names: str) -> list[Path]:
        """Finds the named files.

        Raises:
            FileNotFoundError: `path` is not set, or a file is missing.
        """
        folder = self.folder(source)
        missing = [name for name in names if not (folder / name).is_file()]
        if missing:
            raise FileNotFoundError(f"{folder} lacks {', '.join(missing)}: {self.advice}")
        return [folder / name for name in names]

    def scan(self, path: Path, columns: Mapping[str, type[pl.DataType]], *, null: str | None = None) -> pl.LazyFrame:
        """Scans some columns of a CSV file with a header; spaces around the names there do not count.

        Args:
            path: the file.
            columns: name -> type of what to read.
            null: a text that stands for no value, as an empty cell does.

        Raises:
            ValueError: the file is no CSV, or lacks a column.
        """
        try:
            header = pl.scan_csv(path, infer_schema=False, glob=False).collect_schema().names()
        except pl.exceptions.PolarsError as error:
            raise ValueError(self.unreadable(path, error)) from error
        by_name = {name.strip(): name for name in header}
        missing = [name for name in columns if name not in by_name]
        if missing:
            raise ValueError(
                f"{path} lacks the columns {', '.join(missing)}; it has {', '.join(by_name)}: {self.advice}"
            )
        types = {by_name[name]: kind for name, kind in columns.items()}
        rows = pl.scan_csv(path, infer_schema=False, schema_overrides=types, null_values=null, glob=False)
        return rows.select(pl.col(by_name[name]).alias(name) for name in columns)

    def unreadable(self, path: Path, error: Exception) -> str:
        """Says that a file is not what its name promises."""
        return f"{path} cannot be read: {str(error).strip().splitlines()[0]}: {self.advice}"

    @property
    def advice(self) -> str:
        """Says what to do."""
        return (
            f"download {self.data_set} from {self.address} and name its folder as sources.{self.source}.path in "
            f"platform.yaml, or `make run SOURCE={self.source} DATA_PATH=...`"
        )
