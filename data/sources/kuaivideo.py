"""KuaiVideo: micro-videos shown to Kuaishou users, the data of the User Interest Modeling Contest at China MM 2018.

Reads either of two forms:

- The contest's own files: `train_interaction.txt` (tab-separated, no header: user_id, photo_id, click, like, follow,
  time, playing_time, duration_time) and, where they are, `train_face.txt` (photo_id, the cover's faces as JSON lists of
  share, gender, age, appearance) and `train_text.txt` (photo_id, the cover's words by number; 0: none). The contest's
  test file has no labels.
- RecZoo's `KuaiVideo_x1`: `train.csv` and `test.csv`, of which timestamp, user_id, item_id and is_click are read. Both
  files together are the log, in the order of its times; durations, faces and words are not in them.

An impression is a (user, video, time); repeats count once, as clicked where one of them was. The label is the click.
Likes, follows and the playing time come after the click and are not read. Neither are the prepared histories
`pos_items` and `neg_items` (the user's oldest 100), nor the visual embeddings.

The contest anonymised its times: their order is true, their dates are not. In milliseconds they span a day and a half,
so the log is replayed (`replay.py`). `hour_of_day` is that of the anonymised clock.
"""

from datetime import date
from pathlib import Path

import polars as pl

from config import PlatformConfig, Source
from data.raw.original_files import OriginalFiles
from data.raw.replay import Replay
from data.schema import Schema
from data.sources.data_source import DataSource

ORIGINAL = OriginalFiles(
    "kuaivideo",
    "the files of Kuaishou's User Interest Modeling Contest 2018, or KuaiVideo_x1,",
    "https://huggingface.co/datasets/reczoo/KuaiVideo_x1",
)
INTERACTIONS = ("user_id", "photo_id", "click", "like", "follow", "time", "playing_time", "duration_time")
PREPARED = {"user_id": pl.Int64, "item_id": pl.Int64, "timestamp": pl.Int64, "is_click": pl.Int64}
HOUR_MS = 3_600_000

SCHEMA = Schema(
    item_categorical=("cover_word",),
    item_dense=("duration_s", "num_faces", "largest_face", "num_cover_words"),
    context_categorical=("hour_of_day",),
    crosses=("item_id", "cover_word"),
)


def schema(source: Source) -> Schema:
    """Returns length of the video, faces and first word of its cover, hour. Nothing is published of the users."""
    return SCHEMA


def fetch(config: PlatformConfig) -> None:
    """Checks that the files are there and have their columns.

    Raises:
        FileNotFoundError: `path` is not set, or a file is missing.
        ValueError: a file lacks a column.
    """
    _log(config.source)


def read(config: PlatformConfig, day: date) -> pl.DataFrame:
    """Reads the impressions that the replay puts into a platform day.

    Held at once are the times of the whole log, and the impressions of the day.

    Raises:
        ValueError: a value is no number where its column holds numbers.
    """
    log = _log(config.source)
    try:
        replay = Replay.of(config, log.select("time").collect(engine="streaming")["time"].to_numpy())
        start, end = replay.window(config, day)
        key = ["user_id", "item_id", "time"]
        rows = (
            log.filter(pl.col("time").is_between(start, end, "left"))
            .group_by(key)
            .agg(pl.col("label").max(), pl.col("duration_s").first())
            .sort("time", "user_id", "item_id")
            .collect(engine="streaming")
        )
        videos = rows.select("item_id").unique()
        return (
            rows.join(_faces(config.source, videos), on="item_id", how="left", maintain_order="left")
            .join(_words(config.source, videos), on="item_id", how="left", maintain_order="left")
            .select(
                pl.format("{}-{}-{}", "user_id", "item_id", "time").alias("impression_id"),
                replay.instants(rows["time"]),
                "user_id",
                "item_id",
                "label",
                "cover_word",
                (pl.col("time") // HOUR_MS % 24).alias("hour_of_day"),
                *SCHEMA.item_dense,
            )
        )
    except pl.exceptions.PolarsError as error:
        raise ValueError(ORIGINAL.unreadable(ORIGINAL.folder(config.source), error)) from error


def _log(source: Source) -> pl.LazyFrame:
    """Reads all impressions: user_id, item_id, time, label, duration_s."""
    folder = ORIGINAL.folder(source)
    if (folder / "train.csv").is_file() and not (folder / "train_interaction.txt").is_file():
        files = ORIGINAL.find(source, "train.csv", "test.csv")
        return pl.concat([ORIGINAL.scan(path, PREPARED) for path in files]).select(
            "user_id",
            "item_id",
            pl.col("timestamp").alias("time"),
            pl.col("is_click").alias("label"),
            pl.lit(None, pl.Float32).alias("duration_s"),
        )
    (path,) = ORIGINAL.find(source, "train_interaction.txt")
    return _headerless(path, dict.fromkeys(INTERACTIONS, pl.Int64)).select(
        "user_id",
        pl.col("photo_id").alias("item_id"),
        "time",
        pl.col("click").alias("label"),
        pl.col("duration_time").cast(pl.Float32).alias("duration_s"),
    )


def _faces(source: Source, videos: pl.DataFrame) -> pl.DataFrame:
    """Reads the number of faces on the covers of some videos, and the share of the cover that the largest takes."""
    path = ORIGINAL.folder(source) / "train_face.txt"
    if not path.is_file():
        return videos.clear().with_columns(
            pl.lit(None, pl.UInt32).alias("num_faces"), pl.lit(None, pl.Float64).alias("largest_face")
        )
    faces = pl.col("faces").str.json_decode(pl.List(pl.List(pl.Float64)))
    described = (
        _headerless(path, {"item_id": pl.Int64, "faces": pl.String})
        .join(videos.lazy(), on="item_id", how="semi")
        .unique("item_id", keep="first")
        .filter(pl.col("faces") != "0")  # no face, in some of the files
        .select("item_id", faces)
    )
    return described.select(
        "item_id",
        pl.col("faces").list.len().alias("num_faces"),
        pl.col("faces").list.eval(pl.element().list.first()).list.max().alias("largest_face"),
    ).collect(engine="streaming")


def _words(source: Source, videos: pl.DataFrame) -> pl.DataFrame:
    """Reads the first word on the covers of some videos, null where there is none, and the number of words."""
    path = ORIGINAL.folder(source) / "train_text.txt"
    if not path.is_file():
        return videos.clear().with_columns(
            pl.lit(None, pl.String).alias("cover_word"), pl.lit(None, pl.UInt32).alias("num_cover_words")
        )
    words = pl.when(pl.col("words") != "0").then(pl.col("words").str.split(","))
    return (
        _headerless(path, {"item_id": pl.Int64, "words": pl.String})
        .join(videos.lazy(), on="item_id", how="semi")
        .unique("item_id", keep="first")
        .select("item_id", words)
        .select(
            "item_id",
            pl.col("words").list.first().str.strip_chars().alias("cover_word"),
            pl.col("words").list.len().fill_null(0).alias("num_cover_words"),
        )
        .collect(engine="streaming")
    )


def _headerless(path: Path, columns: dict[str, type[pl.DataType]]) -> pl.LazyFrame:
    """Scans a tab-separated file without a header, which has exactly these columns."""
    try:
        scan = pl.scan_csv(path, separator="\t", has_header=False, infer_schema=False, quote_char=None, glob=False)
        width = len(scan.collect_schema())
    except pl.exceptions.PolarsError as error:
        raise ValueError(ORIGINAL.unreadable(path, error)) from error
    if width != len(columns):
        raise ValueError(
            f"{path} has {width} columns separated by tabs; expected are {len(columns)}, {', '.join(columns)}: "
            f"{ORIGINAL.advice}"
        )
    return pl.scan_csv(path, separator="\t", has_header=False, schema=columns, quote_char=None, glob=False)


SOURCE = DataSource(
    name="kuaivideo",
    about=(
        "KuaiVideo: real impressions and clicks of micro-videos (Kuaishou, China MM 2018), replayed: stretches of its "
        "time that hold equal numbers of impressions are the platform days."
    ),
    schema=schema,
    fetch=fetch,
    read=read,
)
