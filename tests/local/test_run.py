from datetime import date
from io import StringIO

import pyarrow as pa
from rich.console import Console

import storage
from config import PlatformConfig
from jobs import plan_day
from local.run import days_done, next_days
from local.tables import results_table
from quality.promotion_verdict import PromotionVerdict
from tests.done_days import finish


def metrics(ne: float) -> dict[str, float]:
    return {"ne": ne, "auc": 0.81, "gauc": 0.7, "calibration": 1.02, "rows": 1234}


def test_the_first_run_does_the_bootstrap_day_and_so_many_more(tiny_config: PlatformConfig) -> None:
    assert next_days(tiny_config, done=set(), days=2) == [date(2026, 1, 2), date(2026, 1, 3), date(2026, 1, 4)]


def test_the_next_run_goes_on_after_the_last_day_done(tiny_config: PlatformConfig) -> None:
    done = {date(2026, 1, 2), date(2026, 1, 3)}
    assert next_days(tiny_config, done=done, days=2) == [date(2026, 1, 4), date(2026, 1, 5)]


def test_a_day_between_that_is_not_done_comes_first(tiny_config: PlatformConfig) -> None:
    done = {date(2026, 1, 2), date(2026, 1, 4)}
    assert next_days(tiny_config, done=done, days=2) == [date(2026, 1, 3), date(2026, 1, 5)]


def test_days_end_with_the_log(tiny_config: PlatformConfig) -> None:
    config = tiny_config.changed(sources={"synthetic": {"last_day": date(2026, 1, 4)}})
    done = {date(2026, 1, 2), date(2026, 1, 3)}
    assert next_days(config, done=done, days=3) == [date(2026, 1, 4)]
    assert next_days(config, done={*done, date(2026, 1, 4)}, days=3) == []


def test_both_doors_go_on_with_the_same_day(tiny_config: PlatformConfig) -> None:
    finish(tiny_config, "2026-01-02", "2026-01-03")
    for _ in range(2):
        (day,) = next_days(tiny_config, done=days_done(tiny_config), days=1)
        assert plan_day.main(tiny_config) == {"day": str(day)}
        table = pa.table({"a": [2]})  # not what the report was made from
        storage.write_partition(tiny_config, "events", date(2026, 1, 2), table)
    assert day == date(2026, 1, 2)


def test_what_was_not_judged_is_shown_with_its_reason() -> None:
    why = "no impressions held out: the champion stays"
    entry = PromotionVerdict.none(date(2026, 1, 3), "feed", why).to_json()
    console = Console(width=110, record=True, file=StringIO())
    console.print(results_table(date(2026, 1, 3), [entry]))
    text = console.export_text()
    assert "nothing judged" in text and "the champion stays" in text


def test_the_results_say_why_a_candidate_was_refused() -> None:
    entry = {
        "vertical": "feed",
        "promoted": False,
        "winner": None,
        "reasons": ["calibration 1.31 is outside [0.8, 1.25]"],
        "versions": {"candidate": "3", "baseline": "4", "champion": None},
        "metrics": {"baseline": metrics(0.91), "candidate": metrics(0.85), "champion": None, "fm": metrics(0.8)},
        "headroom_ratio": 0.1454,
        "intervals": {"headroom_ratio": {"value": 0.1454, "low": -0.3, "high": 0.61}},
        "warnings": ["headroom ratio 0.15: below"],
    }
    console = Console(width=110, record=True, file=StringIO())
    console.print(results_table(date(2026, 1, 3), [entry]))
    text = console.export_text()
    for expected in ("0.9100", "0.8500", "0.8000", "1,234 rows", "refused", "[0.8, 1.25]", "⚠ headroom", "0.15: below"):
        assert expected in text
    assert "headroom ratio 0.15 (95 %: -0.30 to 0.61)" in " ".join(text.split())


def test_the_results_say_which_contender_went_live() -> None:
    entry = {
        "vertical": "feed",
        "winner": "baseline",
        "reasons": ["candidate: NE 0.8600 > the baseline's 0.8500"],
        "versions": {"candidate": "3", "baseline": "4", "champion": None},
        "metrics": {"baseline": metrics(0.85), "candidate": metrics(0.86), "champion": None, "fm": metrics(0.8)},
        "headroom_ratio": None,
        "intervals": {},
        "warnings": [],
    }
    console = Console(width=110, record=True, file=StringIO())
    console.print(results_table(date(2026, 1, 3), [entry]))
    assert "promoted baseline, version 4" in " ".join(console.export_text().split())
