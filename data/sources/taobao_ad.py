"""TaobaoAd: display ads of Taobao, shown to a million users on eight days of May 2017 (Alimama, Tianchi data set 56).

Reads the published `raw_sample.csv`, `ad_feature.csv` and `user_profile.csv`. An impression is a (user, ad, second,
position) of the sample; repeats count once, as clicked where one of them was. The label is `clk`. Ads and users that
their files lack keep their impressions, without features. `behavior_log.csv` (0.7 billion rows of browsing and buying)
is not read: the FM's histories are those of the ads themselves.

Preparations of this data set for other libraries have no time stamps, so they cannot be read in place of the originals.
"""

from datetime import date

import polars as pl

import storage
from config import PlatformConfig, Source
from data.raw.original_files import OriginalFiles
from data.schema import Schema
from data.sources.data_source import DataSource

ORIGINAL = OriginalFiles("taobao_ad", "Ad Display/Click Data on Taobao.com", "https://tianchi.aliyun.com/dataset/56")
FILES = ("raw_sample.csv", "ad_feature.csv", "user_profile.csv")
NULL = "NULL"  # what an ad without a brand has there

SCHEMA = Schema(
    user_categorical=(
        "cms_segid",
        "cms_group_id",
        "final_gender_code",
        "age_level",
        "pvalue_level",
        "shopping_level",
        "occupation",
        "new_user_class_level",
    ),
    item_categorical=("cate_id", "campaign_id", "customer", "brand"),
    item_dense=("price",),
    context_categorical=("pid", "hour_of_day"),
    crosses=("item_id", "cate_id", "customer"),
)
SAMPLE = {"user": pl.Int64, "time_stamp": pl.Int64, "adgroup_id": pl.Int64, "pid": pl.String, "clk": pl.Int64}
ADS = {"adgroup_id": pl.Int64, **dict.fromkeys(SCHEMA.item_categorical, pl.String), "price": pl.Float64}
USERS = {"userid": pl.Int64, **dict.fromkeys(SCHEMA.user_categorical, pl.String)}


def schema(source: Source) -> Schema:
    """Returns the published user and ad features, the ad's position (`pid`) and the hour."""
    return SCHEMA


def fetch(config: PlatformConfig) -> None:
    """Checks that the files are there and have their columns.

    Raises:
        FileNotFoundError: `path` is not set, or a file is missing.
        ValueError: a file lacks a column.
    """
    _scans(config.source)


def read(config: PlatformConfig, day: date) -> pl.DataFrame:
    """Reads the impressions of a platform day, with user and ad features; other days pass by without being held.

    Raises:
        ValueError: a value is no number where its column holds numbers.
    """
    sample, ads, users = _scans(config.source)
    start, end = (int(instant.timestamp()) for instant in storage.day_window(config, day))
    instant = pl.from_epoch("time_stamp", time_unit="s").dt.replace_time_zone("UTC")
    key = ["user", "time_stamp", "adgroup_id", "pid"]
    in_window = sample.filter(pl.col("time_stamp").is_between(start, end, "left"))
    seen = in_window.group_by(key).agg(pl.col("clk").max()).sort(key)
    query = (
        seen.join(users, left_on="user", right_on="userid", how="left", maintain_order="left")
        .join(ads, on="adgroup_id", how="left", maintain_order="left")
        .select(
            pl.format("{}-{}-{}-{}", "user", "adgroup_id", "time_stamp", "pid").alias("impression_id"),
            instant.dt.cast_time_unit("us").alias("event_timestamp"),
            pl.col("user").alias("user_id"),
            pl.col("adgroup_id").alias("item_id"),
            pl.col("clk").alias("label"),
            *SCHEMA.user_categorical,
            *SCHEMA.item_categorical,
            "pid",
            instant.dt.convert_time_zone(config.source.time_zone).dt.hour().alias("hour_of_day"),
            "price",
        )
    )
    try:
        return query.collect(engine="streaming")
    except pl.exceptions.PolarsError as error:
        raise ValueError(ORIGINAL.unreadable(ORIGINAL.folder(config.source), error)) from error


def _scans(source: Source) -> tuple[pl.LazyFrame, pl.LazyFrame, pl.LazyFrame]:
    """Scans the sample, the ads and the users."""
    sample, ads, users = ORIGINAL.find(source, *FILES)
    return (
        ORIGINAL.scan(sample, SAMPLE),
        ORIGINAL.scan(ads, ADS, null=NULL),
        ORIGINAL.scan(users, USERS, null=NULL),
    )


SOURCE = DataSource(
    name="taobao_ad",
    about="TaobaoAd: real impressions and clicks of display ads on Taobao, 6 to 13 May 2017 (Alimama, Tianchi).",
    schema=schema,
    fetch=fetch,
    read=read,
)
