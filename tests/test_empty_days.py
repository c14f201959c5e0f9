"""A log with an outage of two days, and verticals that have one label or no rows, through every job."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import storage
from config import ROOT, PlatformConfig, Source, Vertical, load_config
from data.sources import synthetic
from jobs import (
    distill_vertical,
    ingest,
    plan_day,
    promote_vertical,
    track_transfer,
    write_report,
)
from serving.registry import CHAMPION, version_at
from tests.synthetic_mapping import mapping_of
from tests.tiny_days import shared_jobs
from training.tracking import tracking_client

pytestmark = pytest.mark.e2e

BOOT, OUTAGE, DAY = date(2026, 1, 2), [date(2026, 1, 3), date(2026, 1, 4)], date(2026, 1, 5)
FEED, SEARCH, VIDEO, AUDIO = (
    "feed",
    "search",
    "video",
    "audio",
)  # whole; no rows on DAY; no clicks on DAY; never any rows
SHARED = ["examples", "user_activity", "item_activity", "fm_outputs", "fm_snapshots", "user_fm_history"]
SHARED += ["item_fm_embedding", "vertical_examples"]


@dataclass(frozen=True)
class Platform:
    config: PlatformConfig
    log: Path
    results: dict[tuple[str, date, str], dict[str, Any]]


def write_log(folder: Path, whole: PlatformConfig, day: date, *changes: pl.Expr) -> None:
    """One file a day of the log; BOOT holds two of them."""
    rows = synthetic.read(whole, day).with_columns(*changes)
    for of, part in rows.group_by(pl.col("event_timestamp").dt.date()):
        part.write_parquet(folder / f"events-{of[0]}.parquet")


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    folder = tmp_path_factory.mktemp("outage")
    log = folder / "log"
    log.mkdir()
    config = load_config(ROOT / "platform.yaml")
    whole = config.changed(
        data_source="synthetic", sources={"synthetic": {"events_per_day": 1200, "bootstrap_days": 2}}
    )
    made = whole.source
    write_log(log, whole, BOOT)
    no_clicks = pl.when(pl.col("surface") == VIDEO).then(0).otherwise(pl.col("label")).cast(pl.Int32).alias("label")
    feed_for_search = pl.col("surface").replace(SEARCH, FEED)
    write_log(log, whole, DAY, no_clicks, feed_for_search)
    source = Source(
        path=str(log),
        first_day=made.first_day,
        last_day=made.last_day,
        bootstrap_days=2,
        empty_day="skip",
        verticals={name: Vertical(column="surface", values=[name]) for name in (FEED, SEARCH, VIDEO, AUDIO)},
        columns=mapping_of(synthetic.schema(made)),
    )
    config = config.changed(
        data_source="mine",
        sources={"mine": source},
        storage={"root": str(folder / "state"), "feature_repo": str(folder / "feature_repo")},
        foundation_model={"embedding_dim": 8, "codes": {"dim": 8}},
        gates={"ne_tolerance": 0.5, "calibration": (0.1, 10.0)},
        runtime={"spark_memory": "1g"},
    )
    results: dict[tuple[str, date, str], dict[str, Any]] = {}
    for day in (BOOT, *OUTAGE, DAY):
        assert plan_day.main(config) == {"day": str(day)}
        results["ingest", day, ""] = ingest.main(config, day=day)
        if day in OUTAGE:
            continue  # as the DAG does: what follows a skipped task is skipped
        shared_jobs(config, day)
        for vertical in config.verticals:
            for job in (distill_vertical, promote_vertical):
                name = job.__name__.removeprefix("jobs.")
                results[name, day, vertical] = job.main(config, day=day, vertical=vertical)
        results["track_transfer", day, ""] = track_transfer.main(config, day=day)
        write_report.main(config, day=day)
        if day == BOOT:  # so small a log may not be enough for the gate
            for vertical in (FEED, SEARCH, VIDEO):
                version = results["distill_vertical", day, vertical]["version"]
                name = storage.registered_model(vertical)
                tracking_client(config).set_registered_model_alias(name, CHAMPION, version)
    yield Platform(config, log, results)


def summary(config: PlatformConfig, day: date) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((storage.report_dir(config, day) / "summary.json").read_text())
    return found


def test_a_skipped_day_is_reported_and_done(platform: Platform) -> None:
    config = platform.config
    for day in OUTAGE:
        assert "empty_day says: no rows" in platform.results["ingest", day, ""]["skipped"]
        assert (
            summary(config, day)["skipped"].startswith("no rows: no file is of this day")
            and storage.day_status(config, day) == "done"
        )
        assert storage.tables_of(config, day) == ["events", "quarantine"]
        assert "day skipped" in (storage.report_dir(config, day) / "index.html").read_text()
    assert "day skipped: no rows" in (storage.docs_dir(config) / "index.html").read_text()


def test_the_day_after_goes_on_from_the_last_day_not_skipped(platform: Platform) -> None:
    config = platform.config
    before = storage.read_manifest(config, "fm_snapshots", BOOT)["extra"]
    assert storage.read_manifest(config, "fm_outputs", DAY)["extra"]["fm_version"] == before["fm_version"]
    learnt = platform.results["distill_vertical", DAY, FEED]["learnt_rows"]
    rows = storage.dataset(config, "examples", [BOOT, DAY]).to_table().to_pandas()
    until = storage.read_manifest(config, "fm_snapshots", DAY)["extra"]["learnt_until"]
    new = rows[(rows.event_timestamp >= before["learnt_until"]) & (rows.event_timestamp < until)]
    assert learnt == (new.vertical == FEED).sum()  # the rest of BOOT, too
    parts = platform.results["track_transfer", DAY, ""]["gain"][FEED]
    assert len(parts) == 5


def test_what_feast_serves_after_an_outage_is_as_of_its_end(platform: Platform) -> None:
    config = platform.config
    assert storage.snapshot_ends(config, DAY)[0] == storage.day_window(config, DAY)[0]
    before = storage.read_partition(config, "events", BOOT).to_pandas().groupby("user_id").size()
    rows = storage.read_partition(config, "vertical_examples", DAY).to_pandas()
    served = rows.set_index("user_id")["user_impressions_30d"].fillna(0)
    assert (served == before.reindex(served.index).fillna(0)).all() and (served > 0).mean() > 0.5
    assert rows["fm_history_item_ids"].notna().mean() > 0.5


def test_rows_of_a_skipped_day_change_nothing_of_the_next(platform: Platform) -> None:
    config, first = platform.config, OUTAGE[0]
    before = {t: storage.read_manifest(config, t, DAY)["content_hash"] for t in SHARED}
    made = load_config(ROOT / "platform.yaml").sources["synthetic"].changed(events_per_day=1200, bootstrap_days=2)
    whole = config.changed(data_source="synthetic", sources={"synthetic": made})
    write_log(platform.log, whole, first, pl.lit(0, pl.Int32).alias("label"))
    assert "no clicks among" in ingest.main(config, day=first)["skipped"]
    shared_jobs(config, DAY)
    assert {t: storage.read_manifest(config, t, DAY)["content_hash"] for t in SHARED} == before


def test_a_vertical_without_rows_fails_nothing_and_its_champion_stays(platform: Platform) -> None:
    config, reason = platform.config, f"no impressions held out on {DAY}"
    assert platform.results["distill_vertical", DAY, SEARCH]["no_candidate"] == reason
    verdict = platform.results["promote_vertical", DAY, SEARCH]
    assert verdict["reasons"] == [f"{reason}: the champion stays, version 2"] and not verdict["promoted"]
    champion = version_at(tracking_client(config), storage.registered_model(SEARCH), CHAMPION)
    assert champion is not None and str(champion.version) == "2"
    never = platform.results["promote_vertical", DAY, AUDIO]
    assert never["reasons"] == [f"{reason}: there is no champion yet"]
    assert AUDIO in platform.results["track_transfer", DAY, ""]["untracked"]


def test_a_vertical_without_clicks_is_refused_and_its_figures_are_called_undefined(platform: Platform) -> None:
    verdict = platform.results["promote_vertical", DAY, VIDEO]
    assert not verdict["promoted"] and verdict["metrics"]["candidate"]["ne"] is None
    undefined = f"no clicks among {verdict['metrics']['candidate']['rows']} "
    # With the first day's clicks there is something to judge on, though too little to tell the kinds apart.
    assert "days 2026-01-02 to 2026-01-05: all there are, fewer than" in verdict["reasons"][0]
    assert "nan" not in json.dumps(verdict)
    page = (storage.report_dir(platform.config, DAY) / "index.html").read_text()
    assert undefined in page and "nan" not in page.lower().replace("finance", "")


def test_such_days_are_done_and_the_next_one_may_run(platform: Platform) -> None:
    config = platform.config
    for day in (BOOT, DAY):
        assert storage.day_status(config, day) == "done", summary(config, day)["made_from"]
    assert plan_day.main(config) == {"day": str(DAY + timedelta(days=1))}


def test_a_vertical_takes_up_its_rows_where_its_champion_ended(platform: Platform) -> None:
    config, following = platform.config, DAY + timedelta(days=1)
    made = load_config(ROOT / "platform.yaml").sources["synthetic"].changed(events_per_day=1200)
    whole = config.changed(data_source="synthetic", sources={"synthetic": made})
    write_log(platform.log, whole, following)
    ingest.main(config, day=following)
    shared_jobs(config, following)
    distilled = distill_vertical.main(config, day=following, vertical=SEARCH)
    rows = storage.dataset(config, "examples", [BOOT, following]).to_table().to_pandas()
    since, until = (
        storage.read_manifest(config, "fm_snapshots", d)["extra"]["learnt_until"] for d in (BOOT, following)
    )
    new = rows[(rows.event_timestamp >= since) & (rows.event_timestamp < until) & (rows.vertical == SEARCH)]
    assert distilled["learnt_rows"] == len(new)
    assert promote_vertical.main(config, day=following, vertical=SEARCH)["versions"]["champion"] == "2"
