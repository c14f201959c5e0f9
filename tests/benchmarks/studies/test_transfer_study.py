"""The transfer study's plan, arithmetic and page, on made-up runs."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks.report import RESULTS
from benchmarks.studies.transfer_study.arms import ARMS
from benchmarks.studies.transfer_study.claims import claims, claims_of_all_data_sets, outcome
from benchmarks.studies.transfer_study.execute import _of_another_user
from benchmarks.studies.transfer_study.page import PAGE, _data_set, _overview, page
from benchmarks.studies.transfer_study.plan import DATA_SETS, EQUAL_BYTES, Run, first, rest
from benchmarks.studies.transfer_study.results import Results, figures, gains, ratio, summary
from config import ROOT, load_config
from data.sources import SOURCES

NE = {"none": 0.90, "kd": 0.895, "ah": 0.89, "raw": 0.88, "raw_ah": 0.875, "loopfm": 0.87, "loopfm_ah": 0.86}
FM_NE = 0.80


def row(run: Run, ne: float) -> dict[str, Any]:
    found = {"ne": ne, "log_loss": 0.6 * ne, "auc": 0.7, "gauc": None, "calibration": 1.0, "rows": 100, "fm_ne": FM_NE}
    days = {"ne_by_day": {"11": ne}, "fm_ne_by_day": {"11": FM_NE}}
    cold = {"cold_rows": 10, "cold_log_loss": 0.6 * ne, "warm_rows": 90, "warm_log_loss": 0.6 * ne}
    return json.loads(json.dumps(run.key)) | found | days | cold


def runs(noise: float = 0.001, seeds: int = 5) -> list[dict[str, Any]]:
    generator = np.random.default_rng(0)
    return [
        row(Run(vertical, "dnn", arm, seed), ne + shift + noise * generator.normal())
        for vertical, shift in (("a", 0.0), ("b", 0.05))
        for arm, ne in NE.items()
        for seed in range(seeds)
    ]


def test_every_run_is_planned_once_and_the_headline_comes_first():
    planned = [*first(["a", "b"], seeds=2), *rest(["a", "b"], seeds=2)]
    keys = [json.dumps(run.key) for run in first(["a", "b"], seeds=2)]
    assert len(keys) == len(set(keys))
    assert {run.arm for run in planned} == set(ARMS)
    assert {(run.vertical, run.arm) for run in planned[:14]} >= {
        (v, arm) for v in "ab" for arm in ("none", "loopfm_ah")
    }


def test_at_equal_bytes_a_slot_of_loopfm_is_no_larger_than_one_of_the_raw_history():
    config, id_bytes = load_config(ROOT / "platform.yaml"), 4
    for name in set(DATA_SETS) - {"kuaivideo"}:  # its videos have one feature
        features = len(SOURCES[name].schema(config.sources[name]).item_categorical)
        code_bytes = EQUAL_BYTES["code_dim"] * EQUAL_BYTES["code_bits"] / 8
        assert id_bytes + code_bytes <= id_bytes * (1 + features), name


def test_gains_are_means_over_verticals_seed_by_seed():
    results = Results(runs(noise=0.0))
    assert np.allclose(gains(results.of("none"), results.of("loopfm_ah")), [0.04] * 5)
    lacking = Results([r for r in results.rows if (r["vertical"], r["seed"], r["arm"]) != ("b", 3, "loopfm_ah")])
    assert len(gains(lacking.of("none"), lacking.of("loopfm_ah"))) == 4  # the seed that lacks a vertical is left out


def test_a_ratios_interval_covers_it_and_narrows_with_the_noise():
    generator = np.random.default_rng(1)
    wide, narrow = (
        ratio(0.04 + noise * generator.normal(size=6), 0.02 + noise * generator.normal(size=6))
        for noise in (3e-3, 3e-4)
    )
    assert wide["low"] < 2 < wide["high"] and narrow["low"] < 2 < narrow["high"]
    assert narrow["high"] - narrow["low"] < 0.3 * (wide["high"] - wide["low"])
    assert ratio(np.array([0.1, 0.1]), np.array([-0.1, 0.05])) is None  # nothing to compare with


def test_figures_are_the_differences_of_the_runs():
    found = figures(Results(runs()))
    assert found["gain_over_none"]["dnn"]["loopfm_ah"]["mean"] == pytest.approx(0.04, abs=0.002)
    assert found["loopfm_ah_over_ah"]["mean"] == pytest.approx(4, abs=0.5)
    assert found["headroom_ratio"]["loopfm_ah"]["mean"] == pytest.approx(0.04 / 0.125, abs=0.02)
    assert found["directions"]["KD < LoopFM"] == "holds"
    assert found["directions"]["LoopFM + KD >= 1.5 x raw history + KD"] == "holds"
    assert "LoopFM + KD >= 2 x best tuned KD" not in found["directions"]  # no run of it
    assert found["ne_by_day"]["fm"] == {"11": FM_NE}
    assert summary(found)["ratio_loopfm_kd_over_raw_kd"]["mean"] == pytest.approx(1.6, abs=0.2)


def test_a_direction_that_fails_is_said_to_fail():
    worse = [r | {"ne": r["ne"] + 0.03} if r["arm"] == "loopfm_ah" else r for r in runs()]
    assert figures(Results(worse))["directions"]["LoopFM < LoopFM + KD"] == "fails"


def test_lean_runs_are_told_apart():
    lean = [r | {"features": "lean", "ne": r["ne"] - (0.02 if r["arm"] == "loopfm_ah" else 0)} for r in runs()]
    found = figures(Results(runs() + lean))
    assert found["lean"]["gain_over_none"]["dnn"]["loopfm_ah"]["mean"] == pytest.approx(0.06, abs=0.002)
    assert found["gain_over_none"]["dnn"]["loopfm_ah"]["mean"] == pytest.approx(0.04, abs=0.002)


def test_the_page_shows_what_was_measured_and_no_empty_rows():
    text = "\n".join(_data_set("kuairand", {"figures": figures(Results(runs())), "command": "made up"}))
    line = next(line for line in text.splitlines() if line.startswith("| LoopFM + AH |"))
    assert "(" in line and float(line.split("|")[2].split()[0]) == pytest.approx(40, abs=2)
    assert "student adapter" not in text  # no run of it
    assert "nan" not in text and "None" not in text


def test_the_overview_has_a_row_for_each_data_set_and_choice_of_features():
    lean = [r | {"features": "lean"} for r in runs()]
    results = {
        "kuairand": {"figures": figures(Results(runs() + lean))},
        "synthetic": {"figures": figures(Results(runs()))},
    }
    lines = [line for line in _overview(results).splitlines() if line.startswith("| `")]
    assert [line.split("|")[1].strip() for line in lines] == [
        "`kuairand`, shipped",
        "`kuairand`, lean",
        "`synthetic`, shipped",
    ]
    assert float(lines[0].split("|")[5].split()[0]) == pytest.approx(1.6, abs=0.2)  # no run with tuned distillation


def test_a_study_of_one_seed_has_a_page_without_directions():
    text = "\n".join(_data_set("kuairand", {"figures": figures(Results(runs(seeds=1))), "command": "made up"}))
    assert "(one seed)" in text and "Directions" not in text


def test_another_users_history_is_another_users():
    users = np.array([0, 0, 1, 2, 2, 2, 1, 0])
    given = _of_another_user(users)
    assert torch.equal(given[2:], torch.tensor([1, 2, 2, 2, 5, 6]))
    assert all(users[other] != users[row] for row, other in enumerate(given.tolist()) if row >= 2)


def test_a_run_is_named_by_all_that_it_depends_on():
    run = Run("a", "dnn", "ah", 0)
    assert json.dumps(run.key) != json.dumps(replace(run, stale="frozen").key)


def cell(*, ah: float, kd: float, tuned: float | None = None) -> dict[str, Any]:
    """Figures of a study in which LoopFM + KD gains 0.04, tuned 0.03."""

    def mean(value: float) -> dict[str, float]:
        return {"mean": value, "seeds": 5, "low": 0.9 * value, "high": 1.1 * value}

    found: dict[str, Any] = {
        "gain_over_none": {"dnn": {"ah": mean(ah), "kd": mean(kd), "loopfm_ah": mean(0.04)}},
        "loopfm_ah_over_ah": mean(0.04 / ah),
    }
    if tuned:
        found["tuned"] = {"kd": mean(tuned), "loopfm_over_kd": mean(0.03 / tuned)}
    return found


def test_the_best_rival_is_an_untuned_one_where_the_tuned_one_gains_less():
    told = claims(cell(ah=0.02, kd=0.01, tuned=0.015))["ratio_over_best_kd"]
    assert (told["rival"], told["mean"]) == ("untuned, auxiliary head", 2.0)
    told = claims(cell(ah=0.01, kd=0.005, tuned=0.02))["ratio_over_best_kd"]
    assert (told["rival"], told["mean"]) == ("tuned", 1.5)  # LoopFM + KD tuned alike: 0.03 / 0.02
    assert "ratio_over_best_raw_kd" not in claims(cell(ah=0.02, kd=0.01))  # no run of it


def test_a_ratio_that_was_not_kept_spans_all_that_the_two_intervals_allow():
    told = claims(cell(ah=0.005, kd=0.02))["ratio_over_best_kd"]
    assert told["rival"] == "untuned, serving head"
    assert (told["low"], told["mean"], told["high"]) == (1.636, 2.0, 2.444)  # 0.036 / 0.022, 0.044 / 0.018


def test_a_goal_is_met_by_the_whole_interval_and_missed_by_the_mean():
    assert outcome({"mean": 3.0, "low": 2.0, "high": 4.0}, 2.0) == "met"
    assert outcome({"mean": 3.0, "low": 1.9, "high": 4.1}, 2.0) == "open"
    assert outcome({"mean": 1.9, "low": 1.0, "high": 2.8}, 2.0) == "missed"
    assert outcome({"mean": 3.0}, 2.0) == "open"  # one seed


def test_the_page_and_the_claims_are_what_the_result_files_say():
    assert PAGE.read_text() == page()
    kept = json.loads((RESULTS / "transfer_claims.json").read_text())["figures"]
    assert kept == claims_of_all_data_sets()
