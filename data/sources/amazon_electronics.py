"""Amazon Electronics as a click log: what people reviewed among what they did not (McAuley et al., SIGIR 2015).

Reads `reviews_Electronics_5.json` (JSON, one review a line) and `meta_Electronics.json` (Python literals, one product a
line), each also as `.json.gz`. A review is a positive. As in DIN's protocol (Zhou et al., KDD 2018), each has one
negative: a product drawn evenly from all reviewed products, at the review's time; never one that the user reviewed at
any time, and none twice for one user. It is drawn by hash: the log is the same on every machine and for every order of
the files.

Reviews carry the day, not the hour. So everything of one day happens at one instant, and features and histories, which
see only what came strictly before, see strictly earlier days. The log spans many years, of which the last have most of
the reviews, and is replayed (`replay.py`) in its true order; prepared versions are shuffled, and are not read.

Stars, helpfulness and text are written with the review and are not read, nor are sales rank and related products, which
the crawl of 2014 found after the reviews. Price, brand and category are the crawl's, too.
"""

import ast
import gzip
import hashlib
import json
import logging
import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

import storage
from config import PlatformConfig, Source
from data.raw.original_files import OriginalFiles
from data.raw.replay import Replay
from data.raw.stable_hash import stable_hash
from data.schema import Schema
from data.sources.data_source import DataSource

LOG = logging.getLogger("headwater.sources")

ORIGINAL = OriginalFiles(
    "amazon_electronics",
    "the 5-core reviews and the metadata of Electronics",
    "https://jmcauley.ucsd.edu/data/amazon/links.html",
)
REVIEWS, PRODUCTS = "reviews_Electronics_5.json", "meta_Electronics.json"
SEED = 0  # of the negatives
RULES = 1  # number of the rules below; a new number builds the cached log anew
DAY_S = 86_400
ASIN = re.compile(r"""['"]asin['"]:\s*['"]([^'"]+)['"]""")

SCHEMA = Schema(
    item_categorical=("category", "subcategory", "leaf_category", "brand"),
    item_dense=("price",),
    context_categorical=("month",),
    crosses=("category", "leaf_category", "brand"),
)


def schema(source: Source) -> Schema:
    """Returns second, third and last level of the product's category, brand, price; month. Users have no features."""
    return SCHEMA


def fetch(config: PlatformConfig) -> None:
    """Checks that the files are there, and builds the log once.

    Raises:
        FileNotFoundError: `path` is not set, or a file is missing.
        ValueError: a line is not what it should be, or lacks a field.
    """
    target = _built(config)
    if target.is_dir():
        return
    LOG.info("building the log %s", target)
    reviews, products = _originals(config.source)
    with storage.replace_folder(target, staging_root=target.parent, name=f".{target.name}") as staging:
        impressions = labelled(_reviews(reviews))
        impressions.write_parquet(staging / "impressions.parquet", row_group_size=100_000)
        _products(products, set(impressions["item_id"].unique())).write_parquet(staging / "products.parquet")


def read(config: PlatformConfig, day: date) -> pl.DataFrame:
    """Reads the reviews that the replay puts into a platform day and their negatives, with product features."""
    impressions = pl.scan_parquet(_built(config) / "impressions.parquet", glob=False)
    replay = Replay.of(config, impressions.select("log_day").collect()["log_day"].to_numpy())
    start, end = replay.window(config, day)
    rows = impressions.filter(pl.col("log_day").is_between(start, end, "left")).collect()
    products = pl.read_parquet(_built(config) / "products.parquet", glob=False)
    return (
        rows.join(products, on="item_id", how="left", maintain_order="left")
        .with_columns(replay.instants(rows["log_day"]))
        .select(
            pl.format("{}-{}", "user_id", "item_id").alias("impression_id"),
            "event_timestamp",
            "user_id",
            "item_id",
            "label",
            *SCHEMA.item_categorical,
            pl.col("log_day").cast(pl.Int32).cast(pl.Date).dt.month().alias("month"),
            *SCHEMA.item_dense,
        )
        .sort("event_timestamp", "impression_id")
    )


def labelled(reviews: pl.DataFrame) -> pl.DataFrame:
    """Returns reviews and as many products that their users did not review.

    Args:
        reviews: user_id, item_id, log_day (days since 1970), in any order; the first of a user and product counts.

    Returns:
        user_id, item_id, log_day, label, by time. A user who reviewed more than a third of all products may have fewer
        negatives.
    """
    positives = (
        reviews.sort("user_id", "log_day", "item_id")
        .unique(["user_id", "item_id"], keep="first", maintain_order=True)
        .with_columns(number=pl.int_range(pl.len()).over("user_id"))
    )
    items = positives["item_id"].unique().sort()
    users = positives.group_by("user_id", maintain_order=True).agg(pl.len().alias("reviews"))
    draws = 2 * users["reviews"].to_numpy().astype(np.int64) + 8
    user = np.repeat(np.arange(len(draws)), draws)
    attempt = np.arange(len(user)) - np.repeat(np.cumsum(draws) - draws, draws)
    drawn = (stable_hash(user, attempt, seed=SEED) % np.uint64(len(items))).astype(np.int64)
    negatives = (
        pl.DataFrame({"user_id": users["user_id"].gather(user), "item_id": items.gather(drawn)})
        .unique(["user_id", "item_id"], keep="first", maintain_order=True)
        .join(positives, on=["user_id", "item_id"], how="anti", maintain_order="left")
        .with_columns(number=pl.int_range(pl.len()).over("user_id"))
        .join(positives.select("user_id", "number", "log_day"), on=["user_id", "number"])
    )
    LOG.info("%d reviews, %d negatives", positives.height, negatives.height)
    columns = ["user_id", "item_id", "log_day"]
    return pl.concat(
        [
            positives.select(*columns, pl.lit(1, pl.Int8).alias("label")),
            negatives.select(*columns, pl.lit(0, pl.Int8).alias("label")),
        ]
    ).sort("log_day", "user_id", "item_id")


def _reviews(path: Path) -> pl.DataFrame:
    rows: dict[str, list[Any]] = {"user_id": [], "item_id": [], "log_day": []}
    for number, line in _lines(path):
        try:
            review = json.loads(line)
            rows["user_id"].append(str(review["reviewerID"]))
            rows["item_id"].append(str(review["asin"]))
            rows["log_day"].append(int(review["unixReviewTime"]) // DAY_S)
        except (ValueError, TypeError, KeyError) as error:
            raise _wrong(path, number, error, "a review in JSON with reviewerID, asin and unixReviewTime") from error
    return pl.DataFrame(rows, schema={"user_id": pl.String, "item_id": pl.String, "log_day": pl.Int64})


def _products(path: Path, wanted: set[str]) -> pl.DataFrame:
    """Reads the features of the reviewed products; the metadata hold eight times as many."""
    rows = []
    for number, line in _lines(path):
        asin = ASIN.search(line)
        if asin and asin[1] not in wanted:
            continue
        try:
            product = ast.literal_eval(line)
            price = None if product.get("price") is None else float(product["price"])
            rows.append((str(product["asin"]), *_levels(product["categories"]), product.get("brand"), price))
        except (ValueError, TypeError, KeyError, SyntaxError, AttributeError, RecursionError) as error:
            raise _wrong(path, number, error, "a product as a Python literal with asin and categories") from error
    columns = {"item_id": pl.String, **dict.fromkeys(SCHEMA.item_categorical, pl.String), "price": pl.Float64}
    return pl.DataFrame(rows, schema=columns, orient="row").unique("item_id", keep="first", maintain_order=True)


def _levels(paths: list[list[str]]) -> tuple[str | None, str | None, str | None]:
    """Returns second and third level of a product's first category below Electronics, and, as in DIN, its last leaf."""
    paths = [path for path in paths if path]
    if not paths:
        return None, None, None
    below = [path for path in paths if path[0] == "Electronics"] or paths
    first = [*below[0], None, None]
    return first[1], first[2], paths[-1][-1]


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yields the lines that are not empty, with their numbers."""
    with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as file:
        yield from ((number, line) for number, line in enumerate(file, start=1) if line.strip())


def _wrong(path: Path, number: int, error: Exception, expected: str) -> ValueError:
    lacking = f"it lacks {error}" if isinstance(error, KeyError) else str(error).splitlines()[0]
    return ValueError(f"{path}:{number}: expected {expected}; {lacking}. The original is at {ORIGINAL.address}")


def _originals(source: Source) -> tuple[Path, Path]:
    folder = ORIGINAL.folder(source)

    def there(name: str) -> str:
        packed = f"{name}.gz"
        return packed if (folder / packed).is_file() and not (folder / name).is_file() else name

    reviews, products = ORIGINAL.find(source, there(REVIEWS), there(PRODUCTS))
    return reviews, products


def _built(config: PlatformConfig) -> Path:
    """Returns the folder of the log built from the files as they are now."""
    sizes = [path.stat().st_size for path in _originals(config.source)]
    digest = hashlib.sha256(repr((RULES, SEED, sizes)).encode()).hexdigest()[:12]
    return storage.cache_dir(config) / f"amazon_electronics_{digest}"


SOURCE = DataSource(
    name="amazon_electronics",
    about=(
        "Amazon Electronics (McAuley et al., 2015): real reviews in their true order, replayed, each beside one "
        "product that the user did not review, drawn by chance: click rates and popularity are not those of a shop."
    ),
    schema=schema,
    fetch=fetch,
    read=read,
)
