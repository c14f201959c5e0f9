"""The transfer study's arithmetic against numbers worked out by hand."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.studies.transfer_study.__main__ import _tuned
from benchmarks.studies.transfer_study.plan import Distilling, Run
from benchmarks.studies.transfer_study.results import Results, figures, gains, ratio

MILD, STRONG = Distilling(0.3), Distilling(10.0)


def row(run: Run, ne: float, **told: Any) -> dict[str, Any]:
    found = {"ne": ne, "log_loss": 0.6 * ne, "auc": 0.7, "gauc": None, "calibration": 1.0, "rows": 100, "fm_ne": 0.8}
    days = {"ne_by_day": {}, "fm_ne_by_day": {}}
    cold = {"cold_rows": 10, "cold_log_loss": 0.5, "warm_rows": 90, "warm_log_loss": 0.5}
    return json.loads(json.dumps(run.key)) | found | days | cold | told


def test_weighed_by_impressions_verticals_count_by_the_entropy_of_their_labels():
    # Weights: rows x log_loss / ne = 300 x 0.2 / 0.5 = 120 and 100 x 0.4 / 1.0 = 40.
    one = {
        ("large", 0): {"rows": 300, "log_loss": 0.2, "ne": 0.5},
        ("small", 0): {"rows": 100, "log_loss": 0.4, "ne": 1.0},
    }
    other = {("large", 0): {"ne": 0.48}, ("small", 0): {"ne": 0.94}}
    assert gains(one, other, weigh=True) == pytest.approx([(120 * 0.02 + 40 * 0.06) / 160])
    assert gains(one, other) == pytest.approx([(0.02 + 0.06) / 2])


def test_weighed_by_impressions_the_gain_is_that_of_the_verticals_as_one_log():
    generator, losses, entropies = np.random.default_rng(0), {}, {}
    one, other = {}, {}
    for vertical, n, rate in (("a", 500, 0.1), ("b", 90, 0.4)):
        entropies[vertical] = -n * (rate * np.log(rate) + (1 - rate) * np.log(1 - rate))
        losses[vertical] = [n * loss for loss in generator.uniform(0.2, 0.6, 2)]
        one[vertical, 0], other[vertical, 0] = (
            {"rows": n, "log_loss": loss / n, "ne": loss / entropies[vertical]} for loss in losses[vertical]
        )
    expected = sum(before - after for before, after in losses.values()) / sum(entropies.values())
    assert gains(one, other, weigh=True) == pytest.approx([expected])


def test_figures_by_impressions_are_weighed():
    runs = [
        row(Run(vertical, "dnn", arm, 0), ne, rows=rows)
        for vertical, rows, ne_of in (("a", 900, {"none": 0.9, "ah": 0.8}), ("b", 100, {"none": 0.9, "ah": 0.9}))
        for arm, ne in ne_of.items()
    ]
    found = figures(Results(runs))
    assert found["gain_over_none"]["dnn"]["ah"]["mean"] == pytest.approx(0.05)
    assert found["gain_over_none_by_impressions"]["ah"]["mean"] == pytest.approx(0.09)


def test_the_parts_of_the_gain_are_differences_of_the_arms():
    ne = {"none": 0.90, "raw": 0.86, "loopfm": 0.84, "both": 0.81}
    found = figures(Results([row(Run("a", "dnn", arm, 0), value) for arm, value in ne.items()]))["parts"]
    assert {name: part["mean"] for name, part in found.items()} == {
        "loopfm": pytest.approx(0.06),
        "temporal": pytest.approx(0.04),  # none - raw
        "cross_feature": pytest.approx(0.05),  # raw - both
        "residual": pytest.approx(0.03),  # loopfm - both
    }


def test_a_ratios_interval_is_the_jackknifes_with_students_t():
    # Leaving out each pair: 3/4, 5/5 and 4/3; their mean 37/36, sum of squares about it 37/216; standard error
    # sqrt(2/3 x 37/216) = 0.337931; t(2 degrees of freedom, 97.5 %) = 4.302653; half 1.454 about 6/6 = 1.
    found = ratio(np.array([3.0, 1.0, 2.0]), np.array([2.0, 1.0, 3.0]))
    assert found == {"mean": 1.0, "seeds": 3, "low": -0.454, "high": 2.454}


def searched() -> list[dict[str, Any]]:
    """Validation runs of two verticals, of which a does best with a mild distillation, b with a strong one."""
    ne = {("a", MILD): 0.80, ("a", STRONG): 0.85, ("b", STRONG): 0.70, ("b", MILD): 0.75}
    return [row(Run(v, "dnn", "ah", 0, distilling=d, validation=True), value) for (v, d), value in ne.items()]


def test_the_tuned_runs_are_planned_with_the_distillation_of_the_lowest_ne(tmp_path: Path):
    file = tmp_path / "runs.jsonl"
    file.write_text("".join(json.dumps(r) + "\n" for r in searched()))
    planned = {(run.vertical, run.arm): run.distilling for run in _tuned(file, 1)}
    assert planned == {(v, arm): d for v, d in (("a", MILD), ("b", STRONG)) for arm in ("ah", "raw_ah", "loopfm_ah")}


def test_the_tuned_gain_is_that_of_the_distillation_of_the_lowest_ne():
    judged = [row(Run(v, "dnn", "none", 0), 0.9) for v in "ab"]
    for vertical, best, other in (("a", MILD, STRONG), ("b", STRONG, MILD)):
        run = Run(vertical, "dnn", "ah", 0)
        judged += [row(replace(run, distilling=best), 0.88), row(replace(run, distilling=other), 0.6)]
    assert figures(Results(searched() + judged))["tuned"]["kd"]["mean"] == pytest.approx(0.02)


def test_cold_and_warm_gains_are_of_their_own_rows():
    none = row(Run("a", "dnn", "none", 0), 0.9, cold_log_loss=0.30, warm_log_loss=0.60)
    loop = row(Run("a", "dnn", "loopfm_ah", 0), 0.8, cold_log_loss=0.31, warm_log_loss=0.50)
    found = figures(Results([none, loop]))["cold_users"]
    assert found["gain_log_loss"]["mean"] == pytest.approx(-0.01)
    assert found["warm_gain_log_loss"]["mean"] == pytest.approx(0.1)
    assert found["share_of_rows"] == 0.1
