"""The NE of a registered model from parts of days: against the NE of all their rows."""

from typing import Any

import pyarrow as pa
import pytest

import storage
from config import ROOT, load_config
from jobs import estimate_ne
from quality.metrics import evaluate
from serving.registry import load_version
from tests.jobs.test_distill_vertical import NAME, Feed


@pytest.fixture(scope="module")
def feed(tmp_path_factory: pytest.TempPathFactory) -> Feed:
    config = load_config(ROOT / "platform.yaml").changed(
        data_source="synthetic",
        sources={"synthetic": {"events_per_day": 600, "bootstrap_days": 2}},
        storage={"root": str(tmp_path_factory.mktemp("estimate"))},
    )
    made = Feed(config)
    made.distill(0)
    return made


def exact(feed: Feed) -> float:
    version = feed.client.get_model_version_by_alias(NAME, "champion")
    rows = pa.concat_tables([storage.read_partition(feed.config, "vertical_examples", day) for day in feed.days[1:]])
    return evaluate(rows["label"].to_numpy(), load_version(feed.config, version).predict(rows)).ne


def test_all_parts_are_the_ne_itself(feed: Feed) -> None:
    found = estimate_ne.main(feed.config, vertical="feed", budget=999, parts=144)  # of 10 minutes; an hour has rows
    assert found["parts_scored"] == found["parts"] == 12 and found["rows_scored"] == found["rows"] == 120
    assert found["ne"] == pytest.approx(exact(feed)) and found["low"] == found["high"] == found["ne"]
    assert found["days"] == [str(day) for day in feed.days[1:]]


def test_few_parts_come_near_it_and_say_how_near(feed: Feed) -> None:
    found = estimate_ne.main(feed.config, vertical="feed", budget=6, parts=144)
    assert found["parts_scored"] == 6 and found["rows_scored"] == 60
    assert found["low"] < exact(feed) < found["high"] and found["high"] - found["low"] < 0.5
    again = estimate_ne.main(feed.config, vertical="feed", budget=6, parts=144)
    assert again == found


def test_one_part_has_no_error_bar(feed: Feed) -> None:
    found = storage.finite(estimate_ne.main(feed.config, vertical="feed", budget=1, parts=144))
    assert found["ne"] > 0 and found["low"] is None and found["high"] is None


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"vertical": "nope"}, "Unknown vertical 'nope'"),
        ({"budget": 0}, "budget is 0 and parts is 8; both must be at least 1"),
        ({"version": "77"}, "has no version 77"),
        ({"vertical": "search"}, "has no champion; name a --version"),
    ],
)
def test_what_cannot_be_estimated_is_said(feed: Feed, asked: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        estimate_ne.main(feed.config, **{"vertical": "feed", "budget": 3} | asked)


def test_a_model_without_later_days_is_refused(feed: Feed) -> None:
    newest = feed.distill(2, promote=False)
    with pytest.raises(ValueError, match=f"is of {feed.days[2]}, and no later day is done"):
        estimate_ne.main(feed.config, vertical="feed", budget=3, version=newest.version)
