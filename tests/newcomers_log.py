"""A newcomer's log through the real door: files in a folder, the ingest job, the committed tables."""

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl

import storage
from config import ColumnMapping, PlatformConfig, Source, Vertical, load_config
from jobs import ingest

HEADER = "id,ts,user,ad,clicked,country,age,category,price,placement"
DAYS = {n: date(2026, 3, n) for n in range(1, 6)}
NEVER = ("0001-01-01T00:00:00Z", "9999-12-31 23:59:59", "9999-12-31T23:59:59-02:00")  # as logs write it


def line(name: str, day: int = 3, **values: object) -> str:
    """A row of the log's CSV, its values written as they are given, in the order of HEADER."""
    row = {"id": name, "ts": f"2026-03-{day:02} 10:00:00", "user": "u1", "ad": "a1", "clicked": "0", "country": "de"}
    row |= {"age": "30", "category": "tv", "price": "2.5", "placement": "feed"}
    return ",".join(str(value) for value in (row | values).values()) + "\n"


def frame(*rows: dict[str, object], day: int = 3) -> pl.DataFrame:
    """Rows of the log for a Parquet file, each with the values given."""
    row = {"ts": f"2026-03-{day:02} 10:00:00", "user": "u1", "ad": "a1", "clicked": 0, "country": "de", "age": 30}
    row |= {"category": "tv", "price": 2.5, "placement": "feed"}
    return pl.DataFrame([{"id": f"p{n}"} | row | values for n, values in enumerate(rows)])


@dataclass
class Log:
    """A folder for the log's files, and the job that lands them."""

    folder: Path
    config: PlatformConfig

    def write(self, name: str, *lines: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(HEADER + "\n" + "".join(lines), newline="")
        return path

    def write_table(self, name: str, rows: pl.DataFrame) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        rows.write_parquet(path)
        return path

    def ingest(self, day: int = 3) -> dict[str, Any]:
        return ingest.main(self.config, day=DAYS[day])

    def table(self, name: str, day: int = 3) -> pl.DataFrame:
        rows = pl.from_arrow(storage.read_partition(self.config, name, DAYS[day]))
        assert isinstance(rows, pl.DataFrame)
        return rows

    def ids(self, day: int = 3) -> list[str]:
        return sorted(self.table("events", day)["impression_id"])

    def users(self, day: int = 3) -> dict[str, str]:
        return dict(self.table("events", day).select("impression_id", "user_id").iter_rows())

    def with_source(self, **changes: Any) -> "Log":
        return Log(self.folder, self.config.changed(sources={"mine": changes}))


def make_log(base: Path, folder: str = "log") -> Log:
    path = base / folder
    path.mkdir(parents=True)
    source = Source(
        path=str(path),
        first_day=DAYS[1],
        last_day=DAYS[5],
        bootstrap_days=2,
        verticals={"feed": Vertical(column="placement", values=["feed"]), "rest": Vertical()},
        columns=ColumnMapping(
            impression_id="id",
            event_timestamp="ts",
            user_id="user",
            item_id="ad",
            label="clicked",
            user_categorical=["country"],
            user_dense=["age"],
            item_dense=["price"],
            context_categorical=["placement"],
        ),
    )
    config = load_config().changed(data_source="mine", sources={"mine": source}, storage={"root": str(base / "state")})
    return Log(path, config)
