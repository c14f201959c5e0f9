import gzip
import json
from datetime import date, timedelta

import polars as pl
import pytest

from config import load_config
from data.sources import amazon_electronics
from data.sources.amazon_electronics import PRODUCTS, REVIEWS
from tests.original_files import write_amazon_electronics


def _config(path, cache):
    source = {"path": str(path), "bootstrap_days": 1}
    return load_config().changed(
        data_source="amazon_electronics", sources={"amazon_electronics": source}, storage={"cache": str(cache)}
    )


def _read(config):
    amazon_electronics.fetch(config)
    return [amazon_electronics.read(config, config.source.first_day + timedelta(days=n)) for n in range(8)]


@pytest.fixture
def originals(tmp_path):
    write_amazon_electronics(tmp_path / "files", users=40)
    return tmp_path / "files"


@pytest.fixture
def reviews(originals):
    lines = (originals / REVIEWS).read_text().splitlines()
    return [(r["reviewerID"], r["asin"], r["unixReviewTime"]) for r in map(json.loads, lines)]


def test_every_review_has_one_product_that_its_user_never_reviewed(originals, reviews, tmp_path):
    rows = pl.concat(_read(_config(originals, tmp_path / "cache")))
    reviewed = {(user, item) for user, item, _ in reviews}
    by_label = {
        label: set(rows.filter(pl.col("label") == label).select("user_id", "item_id").rows()) for label in (0, 1)
    }
    assert by_label[1] == reviewed
    assert rows.height == 2 * len(reviewed) and len(by_label[0]) == len(reviewed)  # and none twice
    assert not by_label[0] & reviewed
    assert rows["impression_id"].is_unique().all()
    counts = rows.group_by("user_id", "event_timestamp").agg(pl.col("label").mean())
    assert counts["label"].unique().to_list() == [0.5]  # at the same times


def test_negatives_are_drawn_evenly_from_all_reviewed_products():
    users, items = 300, 50
    reviews = pl.DataFrame(
        {
            "user_id": [f"u{n // 5}" for n in range(users * 5)],
            "item_id": [f"i{(n % 5) + 45 * (n % 10 == 0)}" for n in range(users * 5)],
            "log_day": range(users * 5),
        }
    )
    popular = {item for (item,) in reviews.select("item_id").unique().rows()}
    more = pl.DataFrame({"user_id": "v", "item_id": [f"i{n}" for n in range(items)], "log_day": [9] * items})
    found = amazon_electronics.labelled(pl.concat([reviews, more]))
    drawn = found.filter(pl.col("label") == 0, pl.col("user_id") != "v", ~pl.col("item_id").is_in(list(popular)))
    counts = drawn["item_id"].value_counts()["count"]
    assert len(counts) == items - len(popular)
    assert counts.min() > 0.4 * counts.mean() and counts.max() < 1.8 * counts.mean()  # about 33 each, 6 either way


def test_the_log_does_not_depend_on_the_order_of_the_files(originals, tmp_path):
    before = _read(_config(originals, tmp_path / "one"))
    for name in (REVIEWS, PRODUCTS):
        lines = (originals / name).read_text().splitlines()
        (originals / name).write_text("\n".join(reversed(lines)) + "\n")
    after = _read(_config(originals, tmp_path / "two"))
    assert all(one.equals(other) for one, other in zip(before, after, strict=True))


def test_reviews_of_one_day_happen_at_one_instant_and_days_keep_their_order(originals, reviews, tmp_path):
    rows = pl.concat(_read(_config(originals, tmp_path / "cache")))
    times = {(user, item): time for user, item, time in reviews}
    positives = rows.filter(pl.col("label") == 1)
    real = pl.Series([times[key] for key in positives.select("user_id", "item_id").rows()])
    pairs = pl.DataFrame({"real": real, "replayed": positives["event_timestamp"]}).unique().sort("real")
    assert pairs["real"].is_unique().all()
    assert (pairs["replayed"].diff()[1:] > timedelta(0)).all()
    assert len(pairs) < len(positives) / 2  # there are such days


def test_a_product_has_the_levels_of_its_category(tmp_path):
    lines = [
        {"asin": "a", "categories": [["Electronics", "Camera & Photo", "Lenses", "Zoom"]], "brand": "B", "price": 5},
        {"asin": "b", "categories": [["Movies & TV", "Movies"], ["Electronics", "Television & Video"]]},
        {"asin": "c", "categories": [["Electronics"]], "related": {"also_bought": ["a"]}, "title": "It's"},
        {"asin": "not reviewed"},
    ]
    (tmp_path / PRODUCTS).write_text("\n".join(map(repr, lines)) + "\n\n")
    found = amazon_electronics._products(tmp_path / PRODUCTS, {"a", "b", "c", "unknown"})
    assert found.rows() == [
        ("a", "Camera & Photo", "Lenses", "Zoom", "B", 5.0),
        ("b", "Television & Video", None, "Television & Video", None, None),
        ("c", None, None, "Electronics", None, None),
    ]


def test_what_was_written_or_found_after_the_review_is_no_column(originals, tmp_path):
    columns = set(_read(_config(originals, tmp_path / "cache"))[0].columns)
    assert not columns & {"overall", "helpful", "reviewText", "summary", "salesRank", "related"}


def test_packed_files_are_read_as_they_are(originals, tmp_path):
    before = _read(_config(originals, tmp_path / "one"))
    for name in (REVIEWS, PRODUCTS):
        (originals / f"{name}.gz").write_bytes(gzip.compress((originals / name).read_bytes()))
        (originals / name).unlink()
    after = _read(_config(originals, tmp_path / "two"))
    assert all(one.equals(other) for one, other in zip(before, after, strict=True))


def test_a_line_that_cannot_be_read_is_named(originals, tmp_path):
    config = _config(originals, tmp_path / "cache")
    with (originals / PRODUCTS).open("a") as file:
        file.write("__import__('os').abort()\n")
    with pytest.raises(ValueError, match=rf"{PRODUCTS}:141: expected a product as a Python literal"):
        amazon_electronics.fetch(config)
    with (originals / REVIEWS).open("a") as file:
        file.write('{"reviewerID": "A", "asin": "B"}\n')
    with pytest.raises(
        ValueError, match=rf"{REVIEWS}:\d+: expected a review .*lacks 'unixReviewTime'. The original is at https"
    ):
        amazon_electronics.fetch(config)
    assert not list((tmp_path / "cache").glob("*"))  # nothing half built
    (originals / REVIEWS).unlink()
    with pytest.raises(FileNotFoundError, match=rf"lacks {REVIEWS}: download .*jmcauley"):
        amazon_electronics.fetch(config)


def test_days_lie_inside_the_shipped_log():
    source = load_config().sources["amazon_electronics"]
    assert source.last_day - source.first_day == timedelta(days=7)
    assert source.bootstrap_day == date(2014, 7, 19)
