"""Lands a sample under an entry as ingest would land its days, and counts what would go to quarantine."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

import storage
from config import PlatformConfig
from data.first_look.sample import Sample, take
from data.landing import land
from data.raw.csv_rows import RAW_PLACE
from data.raw.own_files import day_of
from data.raw.own_rows import together
from data.sources import files

PLACES = 2  # shown of each reason


@dataclass
class Trial:
    """What became of the rows of a sample."""

    rows: int = 0  # that belong to a day of the log
    landed: int = 0
    outside: int = 0  # rows of no day
    reasons: Counter[str] = field(default_factory=Counter)
    places: dict[str, list[str]] = field(default_factory=dict)  # file and line of the first rows, by reason
    verticals: Counter[str] = field(default_factory=Counter)
    unreadable: Mapping[Path, str] = field(default_factory=dict)

    @property
    def quarantined(self) -> float:
        """Returns the share of the rows that would go to quarantine."""
        return 1 - self.landed / self.rows if self.rows else 0.0


def try_entry(config: PlatformConfig, chosen: list[Path], rows: int) -> Trial:
    """Reads a sample as the `files` source reads a day, and lands it day by day.

    Args:
        config: with the entry as its chosen source.
        chosen: files of the source.
        rows: of all files together, about.
    """
    root = Path(config.source.path or "")
    sample: Sample = take(root, chosen, rows, lambda path, count: files.read_file(config.source, path, count))
    trial = Trial(unreadable=sample.unreadable)
    pieces = [(piece, files.instants(config.source, piece.rows)) for piece in sample.pieces if piece.rows.height]
    undated = [known for piece, known in pieces if day_of(root, piece.path) is None]
    days = storage.platform_days(config)
    total = sum(piece.rows.height for piece, _ in pieces)
    schema = files.schema(config.source)
    for day in days:
        frames = [files.of_day(config, piece.path, piece.rows, known, day) for piece, known in pieces]
        frames = [frame for frame in frames if frame.height]
        if not frames:
            continue
        events, bad = land(together(frames), schema, config.source, storage.day_window(config, day))
        trial.rows += events.height + bad.height
        trial.landed += events.height
        trial.verticals.update(dict(events["vertical"].value_counts().iter_rows()))
        _note(trial, bad)
    if not any(known.null_count() for known in undated):
        trial.outside = total - trial.rows
    return trial


def _note(trial: Trial, bad: pl.DataFrame) -> None:
    for (reason,), rows in bad.group_by("reason", maintain_order=True):
        trial.reasons[str(reason)] += rows.height
        places = trial.places.setdefault(str(reason), [])
        if RAW_PLACE in rows.columns:
            places += rows[RAW_PLACE].drop_nulls().head(PLACES - len(places)).to_list()
