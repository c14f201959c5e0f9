"""Which rows a promotion is judged on."""

from datetime import date, timedelta

import numpy as np
import pytest

from quality.evidence import JudgedRows, newest_with_clicks, pool
from quality.metrics import evaluate

DAY = date(2026, 1, 10)


def rows(days_ago: int, *, clicks: int, champion: str | None = "fm", count: int = 40) -> JudgedRows:
    generator = np.random.default_rng(days_ago)
    labels = np.arange(count) < clicks
    models = ["candidate", "baseline"] + (["champion"] if champion else [])
    users = np.array([f"u{n % 10}" for n in range(count)])
    probabilities = {model: generator.uniform(0.1, 0.9, count) for model in models}
    return JudgedRows(DAY - timedelta(days=days_ago), labels.astype(int), users, probabilities, champion)


def test_days_are_added_newest_first_until_there_are_clicks_enough() -> None:
    days = [rows(0, clicks=4), rows(1, clicks=5), rows(2, clicks=6), rows(3, clicks=7)]
    assert newest_with_clicks(days, 4) == days[:1]
    assert newest_with_clicks(days, 10) == days[:3]
    assert newest_with_clicks(days, 100) == days


def test_no_older_day_is_read_than_is_needed() -> None:
    def read():
        yield rows(0, clicks=10)
        raise AssertionError("read on")

    assert len(newest_with_clicks(read(), 10)) == 1


def test_figures_are_those_of_all_rows_together() -> None:
    days = [rows(0, clicks=4), rows(1, clicks=15)]
    found = pool(days, seed=0)
    labels = np.concatenate([of.labels for of in days])
    for model in ("candidate", "baseline"):
        judged = np.concatenate([of.probabilities[model] for of in days])
        assert found.metrics[model].ne == pytest.approx(evaluate(labels, judged).ne)
    assert (found.rows, found.clicks, found.days) == (80, 19, [DAY - timedelta(days=1), DAY])
    difference = found.intervals["ne_candidate_minus_baseline"]
    assert difference.value == pytest.approx(found.metrics["candidate"].ne - found.metrics["baseline"].ne)
    assert difference.low < difference.value < difference.high


def test_the_champion_is_compared_on_days_whose_champion_was_of_its_kind() -> None:
    days = [rows(0, clicks=4, champion="none"), rows(1, clicks=5, champion="fm"), rows(2, clicks=6, champion="none")]
    found = pool([*days, rows(3, clicks=6, champion=None)], seed=0)
    assert found.champion_days == [days[2].day, days[0].day]
    labels = np.concatenate([days[0].labels, days[2].labels])
    judged = np.concatenate([days[0].probabilities["champion"], days[2].probabilities["champion"]])
    assert found.against_champion["champion"].ne == pytest.approx(evaluate(labels, judged).ne)
    assert found.rows == 160  # the contenders among themselves are compared on all


def test_without_a_champion_there_is_nothing_against_it() -> None:
    found = pool([rows(0, clicks=4, champion=None), rows(1, clicks=5)], seed=0)
    assert found.against_champion == {} and found.champion_days == []


def test_rows_without_a_click_give_figures_that_are_not_defined() -> None:
    found = pool([rows(0, clicks=0)], seed=0)
    assert np.isnan(found.metrics["candidate"].ne) and np.isnan(found.intervals["ne_candidate_minus_baseline"].value)
