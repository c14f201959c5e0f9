"""MovieLens-100k as a click log: real ratings of real people (Harper and Konstan, 2015), replayed.

A click is a rating of at least 4. People rated in one or two sittings, so the log is replayed: each user's ratings,
in their true order, are cut into as many consecutive slices as the log has days, one a day. Within its day a slice
keeps its order and is spread evenly, from an offset of the user's own. Hour and weekday are the original ones.

The files come with the package recbole; the licence of the data forbids to hand them on.
"""

from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl

import storage
from config import ROOT, PlatformConfig, Source
from data.raw.stable_hash import stable_uniform
from data.raw.wheels import fetch_from_wheel
from data.schema import Schema
from data.sources.data_source import DataSource

PACKAGE = "recbole==1.2.1"
FILES = ("ml-100k.inter", "ml-100k.user", "ml-100k.item")
CLICK_RATING = 4  # of 5

SCHEMA = Schema(
    user_categorical=("age_group", "gender", "occupation", "zip_region"),
    user_dense=("age",),
    item_categorical=("genre", "genres", "release_year"),
    context_categorical=("hour_of_day", "weekday"),
    crosses=("item_id", "genre"),
)


def schema(source: Source) -> Schema:
    """Returns demographics; first genre, all genres and year of the film; hour and weekday (UTC) of the rating."""
    return SCHEMA


def fetch(config: PlatformConfig) -> None:
    """Downloads the package once (2 MB), or checks `path`.

    Raises:
        ConnectionError: the package could not be downloaded.
        FileNotFoundError: `path` is set and lacks a file.
    """
    folder = _folder(config)
    if config.source.path is None:
        fetch_from_wheel(PACKAGE, {f"recbole/dataset_example/ml-100k/{name}": name for name in FILES}, folder)
    missing = [name for name in FILES if not (folder / name).is_file()]
    if missing:
        raise FileNotFoundError(f"{folder} lacks {', '.join(missing)} of MovieLens-100k in RecBole's format")


def read(config: PlatformConfig, day: date) -> pl.DataFrame:
    """Reads the ratings that the replay puts into a platform day, with user and film features."""
    start, end = storage.day_window(config, day)
    folder = _folder(config)
    users = _table(folder / "ml-100k.user").select(
        "user_id",
        "gender",
        "occupation",
        pl.col("age").cast(pl.Float32),
        (pl.col("age").cast(pl.Int32) // 10 * 10).cast(pl.String).alias("age_group"),
        pl.col("zip_code").str.head(1).alias("zip_region"),
    )
    films = _table(folder / "ml-100k.item").select(
        "item_id",
        "release_year",
        pl.col("class").alias("genres"),
        pl.col("class").str.split(" ").list.first().alias("genre"),
    )
    rated = pl.from_epoch(pl.col("timestamp"), time_unit="s")
    return (
        _replayed(config, _table(folder / "ml-100k.inter"))
        .filter(pl.col("event_timestamp").is_between(start, end, "left"))
        .join(users, on="user_id", how="left")
        .join(films, on="item_id", how="left")
        .sort("event_timestamp", "user_id", "item_id")
        .select(
            pl.format("{}-{}", "user_id", "item_id").alias("impression_id"),  # nobody rated a film twice
            "event_timestamp",
            "user_id",
            "item_id",
            (pl.col("rating") >= CLICK_RATING).cast(pl.Int32).alias("label"),
            *SCHEMA.user_categorical,
            *SCHEMA.item_categorical,
            rated.dt.hour().alias("hour_of_day"),
            rated.dt.weekday().alias("weekday"),
            *SCHEMA.user_dense,
        )
    )


def _replayed(config: PlatformConfig, ratings: pl.DataFrame) -> pl.DataFrame:
    """Adds `event_timestamp` to the ratings (strings but for the two numbers)."""
    source = config.source
    days = (source.last_day - source.first_day).days + 1
    midnights = storage.midnights(config, [source.first_day + timedelta(days=n) for n in range(days)])
    starts = np.array([(midnight - midnights[0]) // timedelta(microseconds=1) for midnight in midnights])
    ratings = (
        ratings.with_columns(pl.col("rating").cast(pl.Float64), pl.col("timestamp").cast(pl.Float64).cast(pl.Int64))
        # Many ratings of a sitting share a second: the item id orders those, whatever the order of the file.
        .sort(pl.col("user_id").cast(pl.Int64), "timestamp", pl.col("item_id").cast(pl.Int64))
        .with_columns(
            position=pl.int_range(pl.len()).over("user_id"),
            log_day=pl.int_range(pl.len()).over("user_id") * days // pl.len().over("user_id"),
        )
        .with_columns(rank=pl.int_range(pl.len()).over("user_id", "log_day"), slice=pl.len().over("user_id", "log_day"))
    )
    offset = stable_uniform(ratings["user_id"].cast(pl.Int64).to_numpy())  # one a user, so a slice keeps its order
    within = (ratings["rank"].to_numpy() + offset) / ratings["slice"].to_numpy()
    log_day = ratings["log_day"].to_numpy()
    micros = starts[log_day] + (within * np.diff(starts)[log_day]).astype(np.int64)
    return ratings.with_columns(event_timestamp=midnights[0] + pl.Series(micros).cast(pl.Duration("us")))


def _table(path: Path) -> pl.DataFrame:
    """Reads a tab-separated file whose header cells read name:type; every column as strings."""
    table = pl.read_csv(path, separator="\t", infer_schema=False, quote_char=None, glob=False)
    return table.rename(lambda cell: cell.split(":")[0])


def _folder(config: PlatformConfig) -> Path:
    return ROOT / config.source.path if config.source.path else storage.cache_dir(config) / "movielens"


SOURCE = DataSource(
    name="movielens",
    about=(
        "MovieLens-100k: real ratings of real people, replayed: each user's ratings, in their true order, are spread "
        "over the platform days; a click is a rating of at least 4."
    ),
    schema=schema,
    fetch=fetch,
    read=read,
)
