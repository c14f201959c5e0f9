"""Rows without a user id: kept where the source says so, and then of a user unknown to everybody, each by itself."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from pyspark.sql import SparkSession

import storage
from config import ROOT, PlatformConfig, Source, Vertical, load_config
from data.schema import FEATURE_SERVICE
from data.sources import source_schema, synthetic
from feature_repo.store import open_store
from feature_repo.training_rows import with_features
from jobs import (
    check_quality,
    distill_vertical,
    extract_features,
    ingest,
    promote_vertical,
    track_transfer,
    write_report,
)
from jobs.check_quality import QualityError
from quality.intervals import PairedBootstrap
from quality.metrics import evaluate, user_numbers
from tests.newcomers_log import Log, frame, line
from tests.synthetic_mapping import mapping_of
from tests.tiny_days import shared_jobs
from training.vertical.logged_rows import logged_rows

# Users that are really called so: nobody's traffic is not theirs.
NAMES = ["nan", "null", "None", "NaN", "N/A", "<NA>", "-1", "0"]


@pytest.fixture
def kept(log: Log) -> Log:
    return log.with_source(anonymous="keep")


# --- landing ----------------------------------------------------------------------------------------------------------


def test_rows_without_a_user_are_quarantined_unless_the_source_keeps_them(log: Log, caplog: pytest.LogCaptureFixture):
    log.write("log.csv", line("a"), line("b", user=""), line("c", user=" "), line("d", user="nan"))
    log.write_table("log.parquet", frame({"id": "e", "user": None}, {"id": "f", "user": 7.0}, {"id": "g", "user": 8.0}))
    result = log.ingest()
    assert result["quarantined"] == {"null user_id": 3} and result["anonymous"] == 0
    assert "null user_id; where that is anonymous traffic, keep it: sources.mine.anonymous: keep" in caplog.text

    log = log.with_source(anonymous="keep")
    caplog.set_level("INFO")
    result = log.ingest()
    assert result["quarantined"] == {} and result["anonymous"] == 3
    assert "3 of 7 rows of 2026-03-03 are anonymous" in caplog.text
    assert log.users() == {"a": "u1", "b": None, "c": None, "d": "nan", "e": None, "f": "7", "g": "8"}
    assert storage.read_manifest(log.config, "events", date(2026, 3, 3))["extra"]["anonymous"] == 3


def test_users_called_like_nothing_are_users(kept: Log):
    kept.write("log.csv", *(line(f"c{n}", user=name) for n, name in enumerate(NAMES)))
    kept.write_table("log.parquet", frame(*({"id": f"p{n}", "user": name} for n, name in enumerate(NAMES))))
    assert kept.ingest()["anonymous"] == 0
    assert kept.users() == {f"{kind}{n}": name for kind in "cp" for n, name in enumerate(NAMES)}


def test_what_is_no_user_id_for_another_reason_stays_in_quarantine(kept: Log):
    kept.write("a.csv", line("a", user="9007199254740992.0"), line("b", user=""), line("", user=""))
    kept.write_table("b.parquet", frame({"id": "c", "user": ["u1", "u2"]}))
    kept.write_table("c.parquet", frame({"id": "d"}).drop("user"))
    quarantined = kept.ingest()["quarantined"]
    assert kept.users() == {"b": None}
    assert {reason.split(";")[0] for reason in quarantined} == {
        "user_id is a float too large to hold an id exactly",
        "null impression_id",
        "wrong type: user_id",
        "missing column: user_id",  # a file that lacks the column does not turn its rows into nobody's
    }


def days_rows(*, anonymous: int, known: int = 200, day: int = 3) -> list[str]:
    rows = [line(f"k{n}", day=day, user=f"u{n % 9}", clicked=n % 3 == 0, ad=f"a{n % 5}") for n in range(known)]
    rows += [line(f"n{n}", day=day, user="", clicked=n % 2, ad=f"a{n % 5}") for n in range(anonymous)]
    hours = [f"2026-03-{day:02} {n % 24:02}:00:00" for n in range(len(rows))]
    return [row.replace(f"2026-03-{day:02} 10:00:00", hour) for row, hour in zip(rows, hours, strict=True)]


def test_the_gate_that_stops_on_them_names_the_setting(log: Log):
    day = date(2026, 3, 3)
    log.write("log.csv", *days_rows(anonymous=60))
    log.ingest()
    with pytest.raises(QualityError, match=r"where the 60 rows without a user id are .*sources.mine.anonymous: keep"):
        check_quality.main(log.config, day=day, stage="events")
    log = log.with_source(anonymous="keep")
    log.ingest()
    assert check_quality.main(log.config, day=day, stage="events")["passed"]
    log = log.with_source(anonymous="quarantine")
    log.write("log.csv", *days_rows(anonymous=0), *(line(f"x{n}", clicked="7") for n in range(60)))
    log.ingest()
    with pytest.raises(QualityError) as stopped:
        check_quality.main(log.config, day=day, stage="events")
    assert "anonymous" not in str(stopped.value)


def test_a_join_that_broke_is_not_taken_for_anonymous_traffic_without_a_word(kept: Log):
    kept.write("a.csv", *days_rows(anonymous=20, day=2))
    kept.ingest(2)
    kept.write("a.csv", *days_rows(anonymous=200, day=3))
    kept.ingest(3)
    (warning,) = [
        w for w in check_quality.main(kept.config, day=date(2026, 3, 3), stage="events")["warnings"] if "user_id" in w
    ]
    assert "Share of rows without user_id, minus the previous day's" in warning


# --- features ---------------------------------------------------------------------------------------------------------

USER_SIDE = ("user_", "history_")


def features(log: Log) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    for day in (2, 3):
        log.ingest(day)
        extract_features.main(log.config, day=date(2026, 3, day))
    examples, users, items = (log.table(name) for name in ("examples", "user_activity", "item_activity"))
    return examples.sort("impression_id"), users.sort("user_id"), items.sort("item_id")


def test_an_anonymous_click_changes_no_user_feature_but_counts_for_its_item(log: Log, spark: SparkSession):
    """One click at 6:00 by nobody, of what everybody sees later."""
    kept = log.with_source(anonymous="keep")
    rows = days_rows(anonymous=60)
    quarter = [row.replace(",u0,", ",nan,").replace(",u1,", ",None,").replace(",u2,", ",null,") for row in rows]
    kept.write("march02.csv", *days_rows(anonymous=30, day=2))
    click = line("click", user="", ad="a1", clicked=1).replace("10:00:00", "06:30:00")
    kept.write("march03.csv", *quarter)
    without = features(kept)
    kept.write("march03.csv", *quarter, click)
    with_it = features(kept)

    examples = with_it[0].filter(pl.col("impression_id") != "click")
    of_user = [name for name in examples.columns if name.startswith(USER_SIDE)]
    assert len(of_user) > 10 and examples.select(of_user).equals(without[0].select(of_user))
    assert with_it[1].equals(without[1])  # every user's snapshot
    same_item = pl.col("item_id") == "a1"
    later = same_item & (pl.col("event_timestamp").dt.hour() > 6)
    for name in ("item_impressions_1d", "item_clicks_1d"):
        assert (examples[name] - without[0][name]).to_list() == examples.select(
            later.cast(pl.Float32)
        ).to_series().to_list()
        assert (with_it[2][name] - without[2][name]).to_list() == [
            float(item == "a1") for item in with_it[2]["item_id"]
        ]


def test_nobody_has_no_history_no_counts_and_no_snapshot(log: Log, spark: SparkSession):
    kept = log.with_source(anonymous="keep")
    kept.write("march02.csv", *days_rows(anonymous=60, day=2))
    kept.write("march03.csv", *days_rows(anonymous=60))
    examples, users, _ = features(kept)
    nobody = examples.filter(pl.col("user_id").is_null())
    assert nobody.height == 60 and nobody["history_item_ids"].list.len().sum() == 0
    counts = [name for name in nobody.columns if name.startswith("user_") and name != "user_id"]
    assert len(counts) > 10 and nobody.select(counts).sum().sum_horizontal()[0] == 0
    assert nobody["item_impressions_1d"].sum() > 0 and (nobody["country"] == "de").all()  # the row's own
    assert set(users["user_id"]) == {f"u{n}" for n in range(9)}
    assert examples.filter(pl.col("user_id").is_not_null())["history_item_ids"].list.len().sum() > 0
    assert check_quality.main(kept.config, day=date(2026, 3, 3), stage="features")["passed"]


def test_the_gate_stops_features_that_know_something_of_nobody(log: Log, spark: SparkSession):
    kept = log.with_source(anonymous="keep")
    kept.write("march02.csv", *days_rows(anonymous=60, day=2))
    kept.write("march03.csv", *days_rows(anonymous=60))
    day = date(2026, 3, 3)
    features(kept)
    rows = kept.table("examples")
    schema = storage.read_partition(kept.config, "examples", day).schema
    seen = pl.col("user_item_id_impressions")
    spoilt = rows.with_columns(
        pl.when(pl.col("user_id").is_null()).then(pl.lit(1, pl.Float32)).otherwise(seen).alias(seen.meta.output_name())
    )
    storage.write_partition(kept.config, "examples", day, spoilt.to_arrow().cast(schema))
    with pytest.raises(QualityError, match="A row without a user_id has no history and no counts of a user"):
        check_quality.main(kept.config, day=day, stage="features")


# --- figures ----------------------------------------------------------------------------------------------------------


def test_nobody_is_as_many_users_as_rows_in_figures():
    users = np.array(["b", None, "a", None, "None", float("nan")], object)
    assert user_numbers(users).tolist() == [2, 3, 1, 4, 0, 5]
    labels, probabilities = np.array([1, 0, 1, 0]), np.array([0.2, 0.8, 0.9, 0.1])
    nobody = np.array([None] * 4, object)
    assert np.isnan(evaluate(labels, probabilities, users=nobody).gauc)  # not one user with both labels
    one = evaluate(labels, probabilities, users=np.array(["a", "a", None, None], object))
    assert one.gauc == 0.0  # user a alone: his click is ranked below


def test_the_bootstrap_draws_every_anonymous_row_by_itself():
    draw = np.random.default_rng(0)
    labels, predicted = draw.integers(0, 2, 400), {"one": draw.random(400), "other": draw.random(400)}
    rows = np.array([f"{n:03}" for n in range(400)], object)
    nobody = np.array([None] * 400, object)
    intervals = [PairedBootstrap(labels, of, predicted, seed=0).ne_difference("one", "other") for of in (nobody, rows)]
    assert intervals[0] == intervals[1] and intervals[0].low < intervals[0].high


# --- two whole days ---------------------------------------------------------------------------------------------------

BOOT, DAY = date(2026, 1, 2), date(2026, 1, 3)
VERTICAL = "feed"


@dataclass(frozen=True)
class Platform:
    config: PlatformConfig
    landed: dict[date, dict]
    store_users: set[str]


def of_synthetic(folder: Path, *, events_per_day: int = 1200) -> PlatformConfig:
    """A user's own log made of the synthetic one: a third of the rows are nobody's, some users have odd names."""
    log = folder / "log"
    log.mkdir(parents=True)
    config = load_config(ROOT / "platform.yaml")
    whole = config.changed(
        data_source="synthetic", sources={"synthetic": {"events_per_day": events_per_day, "bootstrap_days": 2}}
    )
    for day in (BOOT, DAY):
        rows = synthetic.read(whole, day)
        common = rows["user_id"].value_counts(sort=True)["user_id"].to_list()
        rows = rows.with_columns(pl.col("user_id").replace(dict(zip(common, NAMES, strict=False))))
        nobody = pl.int_range(pl.len()) % 3 == 0
        rows = rows.with_columns(pl.when(~nobody).then(pl.col("user_id")).alias("user_id"))
        for of, part in rows.group_by(pl.col("event_timestamp").dt.date()):
            part.write_parquet(log / f"events-{of[0]}.parquet")
    source = Source(
        path=str(log),
        first_day=BOOT - timedelta(days=1),
        last_day=DAY + timedelta(days=1),
        bootstrap_days=2,
        anonymous="keep",
        verticals={VERTICAL: Vertical(column="surface", values=[VERTICAL]), "rest": Vertical()},
        columns=mapping_of(synthetic.schema(whole.source)),
    )
    return config.changed(
        data_source="mine",
        sources={"mine": source},
        storage={"root": str(folder / "state"), "feature_repo": str(folder / "feature_repo")},
        foundation_model={"embedding_dim": 8, "codes": {"dim": 8}},
        gates={"ne_tolerance": 0.5, "calibration": (0.1, 10.0)},
        runtime={"spark_memory": "1g"},
    )


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory, spark: SparkSession) -> Iterator[Platform]:
    config = of_synthetic(tmp_path_factory.mktemp("anonymous"))
    landed = {}
    for day in (BOOT, DAY):
        landed[day] = ingest.main(config, day=day)
        shared_jobs(config, day)
        distill_vertical.main(config, day=day, vertical=VERTICAL)
        promote_vertical.main(config, day=day, vertical=VERTICAL)
        track_transfer.main(config, day=day, verticals=VERTICAL)
        write_report.main(config, day=day, verticals=VERTICAL)
    users = storage.dataset(config, "events", [BOOT, DAY]).to_table(columns=["user_id"])["user_id"]
    yield Platform(config, landed, set(pc.unique(users).drop_null().to_pylist()))


@pytest.mark.e2e
def test_a_whole_day_with_anonymous_traffic_comes_through(platform: Platform):
    config, landed = platform.config, platform.landed[DAY]
    assert landed["anonymous"] == landed["rows"] / 3
    assert set(NAMES) <= platform.store_users
    outputs = storage.read_partition(config, "fm_outputs", DAY)
    assert outputs["user_id"].null_count == landed["anonymous"]
    scores = outputs.filter(pc.is_null(outputs["user_id"]))["soft_label"]
    assert scores.null_count == 0 and len(pc.unique(scores)) > 50  # scored as others are
    evaluations = storage.read_partition(config, f"evaluations_{VERTICAL}", DAY)
    assert evaluations["user_id"].null_count > 0
    verdicts = storage.read_partition(config, f"verdicts_{VERTICAL}", DAY)
    assert verdicts["user_id"].to_pylist() == evaluations["user_id"].to_pylist()
    page = (storage.report_dir(config, DAY) / "index.html").read_text()
    assert "anonymous impressions" in page and f"{landed['anonymous']:,} (33" in page


@pytest.mark.e2e
def test_feast_knows_users_and_not_nobody(platform: Platform):
    config = platform.config
    for table in ("user_activity", "user_fm_history"):
        ids = storage.dataset(config, table, [BOOT, DAY]).to_table(columns=["user_id"])["user_id"]
        assert ids.null_count == 0 and set(ids.to_pylist()) <= platform.store_users
        assert {"nan", "null", "None"} <= set(ids.to_pylist())
    rows = storage.read_partition(config, "vertical_examples", DAY)
    views = ["user_impressions_1d", "fm_history_item_ids", *source_schema(config).user_categorical]
    for name in views:
        nobody, others = (rows.filter(of(rows["user_id"]))[name] for of in (pc.is_null, pc.is_valid))
        assert nobody.null_count == len(nobody) > 100
        assert others.null_count < len(others) / 2
    assert rows["item_impressions_1d"].null_count < rows.num_rows / 2
    asked = storage.read_partition(config, "fm_outputs", DAY, columns=["user_id", "item_id", "event_timestamp"])
    (alone,) = with_features(open_store(config), asked.filter(pc.is_null(asked["user_id"])))  # of nobody's rows only
    assert alone["user_impressions_1d"].null_count == alone.num_rows > alone["item_impressions_1d"].null_count
    # Every slot of a user's history is an impression of that very user.
    log = storage.dataset(config, "fm_outputs", [BOOT, DAY]).to_table(columns=["user_id", "item_id", "soft_label"])
    seen = set(zip(log["user_id"].to_pylist(), log["item_id"].to_pylist(), strict=True))
    for row in storage.read_partition(config, "user_fm_history", DAY).to_pylist():
        assert {(row["user_id"], item) for item in row["fm_history_item_ids"]} <= seen
    store = open_store(config)
    pairs = [{"user_id": name, "item_id": "x"} for name in ("nan", "None", "null", "", "nobody")]
    online = store.get_online_features(store.get_feature_service(FEATURE_SERVICE), pairs).to_dict()
    assert [value is not None for value in online["user_impressions_1d"]] == [True, True, True, False, False]


@pytest.mark.e2e
def test_an_items_mean_code_includes_what_nobody_saw(platform: Platform):
    config = platform.config
    codes = storage.dataset(config, "fm_outputs", [BOOT, DAY]).to_table(columns=["item_id", "user_id", "code"])
    codes = codes.filter(pc.is_valid(codes["code"]))
    at = storage.day_ends(config, DAY)[-1]
    means = storage.read_partition(config, "item_fm_embedding", DAY)
    means = means.filter(pc.equal(means["event_timestamp"], pa.scalar(at, means["event_timestamp"].type)))
    assert sum(means["fm_item_impressions"].to_pylist()) == codes.num_rows > codes["user_id"].drop_null().length()


@pytest.mark.e2e
def test_rebuilt_histories_of_nobody_are_empty_and_his_rows_are_no_cluster(platform: Platform):
    config = platform.config
    rows = logged_rows(config, source_schema(config), VERTICAL, [BOOT, DAY])
    nobody = rows.users < 0
    assert nobody.sum() > 100 and len(np.unique(rows.users[nobody])) == nobody.sum()
    slots = rows.with_codes(rows.codes, fresh=True).slots
    known = (slots.positions >= 0).any(dim=1).numpy()
    assert not known[nobody].any() and known[~nobody].any()
    users = storage.dataset(config, "fm_outputs", [BOOT, DAY]).to_table(columns=["impression_id", "user_id"])
    of = dict(zip(users["impression_id"].to_pylist(), users["user_id"].to_pylist(), strict=True))
    names = np.array([of[name] for name in rows.logged.to_pylist()], object)
    used = slots.positions[slots.positions >= 0].numpy()
    assert not (names[used] == None).any()  # noqa: E711
