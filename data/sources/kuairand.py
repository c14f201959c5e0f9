"""KuaiRand-Pure: impressions and clicks of Kuaishou users under the standard policy (Gao et al., CIKM 2022).

Reads, from the source's `path`, the published files (`log_standard_*_pure.csv`, `user_features_pure.csv`,
`video_features_basic_pure.csv`; https://kuairand.com, CC BY-SA 4.0) or `log.parquet`, `users.parquet` and
`videos.parquet` with the same columns. An impression is a (user, video, time) of the log; repeats of one are
dropped, the first is kept. The label is `is_click`. Its instant is `time_ms`; `date` and `hourmin` may lie hours later.

All else that the log records of the viewing (play time, likes, follows, stay times, ...) happens after the click,
and is not even read.
"""

import logging
from datetime import date
from pathlib import Path

import polars as pl

import storage
from config import ROOT, PlatformConfig, Source
from data.schema import Schema
from data.sources.data_source import DataSource

LOG = logging.getLogger("headwater.sources")


USER_CATEGORICAL = (
    "user_active_degree",
    "is_lowactive_period",
    "is_live_streamer",
    "is_video_author",
    "follow_user_num_range",
    "fans_user_num_range",
    "friend_user_num_range",
    "register_days_range",
    *(f"onehot_feat{n}" for n in range(18)),
)
USER_DENSE = ("follow_user_num", "fans_user_num", "friend_user_num", "register_days")
SCHEMA = Schema(
    user_categorical=USER_CATEGORICAL,
    user_dense=tuple(f"log_{name}" for name in USER_DENSE),
    item_categorical=("author_id", "video_type", "upload_type", "music_id", "music_type", "tag"),
    item_dense=("log_duration_s",),
    context_categorical=("tab", "hour_of_day"),
    crosses=("item_id", "author_id", "tag"),
)
LOG_COLUMNS = ("user_id", "video_id", "time_ms", "is_click", "tab")
VIDEO_COLUMNS = ("author_id", "video_type", "upload_type", "music_id", "music_type", "video_duration", "tag")


def schema(source: Source) -> Schema:
    """Returns the published user features, static video features, tab and hour; counts and durations as log(1 + x)."""
    return SCHEMA


def fetch(config: PlatformConfig) -> None:
    """Checks that the files are there: the data set is not fetched, it asks to be downloaded by hand.

    Raises:
        FileNotFoundError: `path` is not set, or a file is missing.
    """
    _files(config.source)


def read(config: PlatformConfig, day: date) -> pl.DataFrame:
    """Reads the impressions of a platform day, with user and video features."""
    logs, users, videos = _files(config.source)
    start, end = storage.day_window(config, day)
    window = pl.col("time_ms").is_between(int(start.timestamp() * 1000), int(end.timestamp() * 1000), "left")
    seen = pl.concat([_scan(path).select(LOG_COLUMNS).filter(window) for path in logs]).collect()
    rows = seen.unique(["user_id", "video_id", "time_ms"], keep="first", maintain_order=True)
    if rows.height < seen.height:
        LOG.info("dropped %d repeated impressions of %s", seen.height - rows.height, day)
    tag = pl.col("tag").cast(pl.String).str.split(",").list.first()
    user_features = _scan(users).select(
        "user_id",
        *USER_CATEGORICAL,
        *(pl.col(name).clip(0).log1p().alias(f"log_{name}") for name in USER_DENSE),
    )
    video_features = (
        _scan(videos)
        .select("video_id", *VIDEO_COLUMNS)
        .with_columns(tag, (pl.col("video_duration") / 1000).log1p().alias("log_duration_s"))
    )
    instant = pl.from_epoch("time_ms", time_unit="ms").dt.replace_time_zone("UTC")
    local = instant.dt.convert_time_zone(config.source.time_zone)
    return (
        rows.lazy()
        .join(user_features, on="user_id", how="left", maintain_order="left")
        .join(video_features, on="video_id", how="left", maintain_order="left")
        .select(
            pl.format("{}-{}-{}", "user_id", "video_id", "time_ms").alias("impression_id"),
            instant.dt.cast_time_unit("us").alias("event_timestamp"),
            "user_id",
            pl.col("video_id").alias("item_id"),
            pl.col("is_click").alias("label"),
            *SCHEMA.user_categorical,
            *SCHEMA.item_categorical,
            "tab",
            local.dt.hour().alias("hour_of_day"),
            *SCHEMA.user_dense,
            *SCHEMA.item_dense,
        )
        .collect()
    )


def _scan(path: Path) -> pl.LazyFrame:
    if path.suffix == ".parquet":
        return pl.scan_parquet(path, glob=False)
    return pl.scan_csv(path, infer_schema_length=100_000, schema_overrides={"tag": pl.String}, glob=False)


def _files(source: Source) -> tuple[list[Path], Path, Path]:
    """Returns the log files, the user file and the video file."""
    advice = (
        "download KuaiRand-Pure from https://kuairand.com and name its folder as sources.kuairand.path in "
        "platform.yaml, or `make run SOURCE=kuairand DATA_PATH=...`"
    )
    if source.path is None:
        raise FileNotFoundError(f"sources.kuairand.path is not set: {advice}")
    folder = ROOT / source.path
    csv_logs = sorted(folder.glob("log_standard_*_pure.csv"))
    if csv_logs:
        logs = csv_logs
        users, videos = folder / "user_features_pure.csv", folder / "video_features_basic_pure.csv"
    else:
        logs, users, videos = [folder / "log.parquet"], folder / "users.parquet", folder / "videos.parquet"
    missing = [path.name for path in [*logs, users, videos] if not path.is_file()]
    if missing:
        raise FileNotFoundError(f"{folder} lacks {', '.join(missing)}: {advice}")
    return logs, users, videos


SOURCE = DataSource(
    name="kuairand",
    about="KuaiRand-Pure: real impressions and clicks of Kuaishou users (Gao et al., CIKM 2022; CC BY-SA 4.0).",
    schema=schema,
    fetch=fetch,
    read=read,
)
