"""The promotion gate, one row a rule."""

import math
from dataclasses import dataclass, replace
from datetime import date

import pytest

from config import Gates
from quality.evidence import Evidence
from quality.gate import Decision, headroom_warnings, judge
from quality.intervals import Interval
from quality.metrics import Metrics

GATES = Gates(ne_tolerance=0.002, calibration=(0.8, 1.25), min_eval_rows=50, min_eval_clicks=100)
PASSED = (True, ["174 quality checks passed, 0 warnings"])
NAN = math.nan
DAYS = [date(2026, 1, 1), date(2026, 1, 2)]


@dataclass(frozen=True)
class Case:
    """Figures of the contenders, of the champion on the same rows, and what the gate is to say."""

    winner: str | None
    reason: str
    candidate: float = 0.70
    baseline: float = 0.72
    champion: float | None = 0.71
    kind: str | None = "fm"  # of the champion
    calibration: float = 1.0  # of the candidate
    baseline_calibration: float = 1.0
    rows: int = 1000
    clicks: int = 100
    quality: tuple[bool, list[str]] = (True, PASSED[1])


def figures(ne: float, calibration: float = 1.0) -> Metrics:
    return Metrics(rows=1000, ne=ne, log_loss=0.5, auc=0.7, gauc=0.7, calibration=calibration, ece=0.01)


def evidence(case: Case) -> Evidence:
    metrics = {
        "candidate": figures(case.candidate, case.calibration),
        "baseline": figures(case.baseline, case.baseline_calibration),
    }
    pairs = [("candidate", "baseline"), ("candidate", "champion"), ("baseline", "champion")]
    found = Evidence(
        days=DAYS,
        rows=case.rows,
        clicks=case.clicks,
        metrics=metrics,
        champion_transfer=case.kind,
        intervals={f"ne_{one}_minus_{other}": Interval(-0.02, -0.05, 0.01) for one, other in pairs},
    )
    if case.kind is None or case.champion is None:
        return found
    return replace(found, champion_days=DAYS, against_champion=metrics | {"champion": figures(case.champion)})


def decided(case: Case) -> Decision:
    return judge(evidence(case), quality=case.quality, gates=GATES)


FIRST = {"kind": None, "champion": None}
PLAIN = {"kind": "none", "champion": 0.72}
CASES = {
    "better than champion and baseline": Case("candidate", "candidate: NE 0.7000 <= the champion's 0.7100"),
    "worse than its like within tolerance": Case(
        "candidate", "+ gates.ne_tolerance 0.002", candidate=0.7119, champion=0.71
    ),
    "worse than its like by more": Case(
        None, "candidate: NE 0.7121 > the champion's 0.7100", candidate=0.7121, baseline=0.72, champion=0.71
    ),
    "worse than the plain model, which beats the champion": Case(
        "baseline",
        "candidate: NE 0.7050 > the baseline's 0.7000",
        candidate=0.705,
        baseline=0.70,
        champion=0.71,
    ),
    "worse than the plain model, which does not beat the champion": Case(
        None,
        "baseline: NE 0.7000 >= the champion's 0.7019 - gates.ne_tolerance 0.002, as of the other kind",
        candidate=0.7025,
        baseline=0.70,
        champion=0.7019,
    ),
    "worse than the plain model within tolerance, its like serves": Case(
        "candidate", "candidate: NE 0.7015 <= the baseline's 0.7000 + gates", candidate=0.7015, baseline=0.70
    ),
    "as good as the plain model, its like serves": Case(
        "candidate", "candidate: NE 0.7000 <= the baseline's 0.7000 + gates", candidate=0.70, baseline=0.70
    ),
    "a plain champion is renewed": Case(
        "baseline", "baseline: NE 0.7210 <= the champion's 0.7200 + gates", candidate=0.73, baseline=0.721, **PLAIN
    ),
    "not better than a plain champion by more than noise": Case(
        "baseline",
        "candidate: NE 0.7185 >= the baseline's 0.7200 - gates.ne_tolerance 0.002",
        candidate=0.7185,
        **PLAIN,
    ),
    "better than a plain champion": Case(
        "candidate", "candidate: NE 0.7100 < the baseline's 0.7200 - gates", candidate=0.71, **PLAIN
    ),
    "better than today's plain model, not than the plain champion": Case(
        None,
        "candidate: NE 0.7100 >= the champion's 0.7000 - gates",
        candidate=0.71,
        baseline=0.72,
        kind="none",
        champion=0.70,
    ),
    "first, better than the plain model": Case("candidate", "NE 0.7000 < 1, the base rate's (there is no", **FIRST),
    "first, as good as the plain model": Case(
        "baseline", "candidate: NE 0.7200 >= the baseline's 0.7200", candidate=0.72, **FIRST
    ),
    "first, worse than the plain model": Case(
        "baseline", "candidate: NE 0.7300 >= the baseline's", candidate=0.73, **FIRST
    ),
    "first, none better than the base rate": Case(
        None, "baseline: NE 1.1000 >= 1, the base rate's", candidate=1.0, baseline=1.1, **FIRST
    ),
    "few clicks, no champion": Case(
        "baseline", "candidate: too few clicks to tell the kinds apart, and no champion", clicks=99, **FIRST
    ),
    "few clicks, no champion, plain model no better than the base rate": Case(
        None, "baseline: NE 1.0000 >= 1", baseline=1.0, clicks=99, **FIRST
    ),
    "few clicks, the champion's like renews it": Case(
        "candidate",
        "99 clicks of the days 2026-01-01 to 2026-01-02: all there are, fewer than gates.min_eval_clicks",
        baseline=0.69,
        clicks=99,
    ),
    "few clicks, a plain champion stays plain": Case(
        "baseline",
        "candidate: too few clicks to tell the kinds apart: the champion's, transfer=none, stays",
        clicks=99,
        **PLAIN,
    ),
    "champion cannot be judged": Case("candidate", "the champion's NE is undefined on its days", champion=NAN),
    "no NE is a number": Case(
        None, "baseline: NE is undefined (no clicks among 1000", candidate=NAN, baseline=NAN, champion=NAN, clicks=0
    ),
    "quality failed": Case(None, "failed: label is 0 or 1", quality=(False, ["label is 0 or 1"])),
    "rows enough": Case("candidate", "50 held-out rows >= gates.min_eval_rows 50", rows=50),
    "rows too few": Case(None, "49 held-out rows < gates.min_eval_rows 50", rows=49),
    "calibration low": Case(None, "candidate: calibration 0.790 outside", calibration=0.79),
    "calibration at the edge": Case("candidate", "calibration 1.250 inside", calibration=1.25),
    "calibration high, the plain model beats the champion": Case(
        "baseline",
        "candidate: calibration 1.260 outside gates.calibration",
        baseline=0.705,
        calibration=1.26,
    ),
    "calibration not a number": Case(None, "calibration nan outside", calibration=NAN),
    "plain model's calibration": Case(
        None, "baseline: calibration 1.300 outside", candidate=0.73, baseline_calibration=1.3, **FIRST
    ),
}


@pytest.mark.parametrize("rule", CASES)
def test_rule(rule: str) -> None:
    case = CASES[rule]
    found = decided(case)
    assert found.winner == case.winner, found.reasons
    assert any(case.reason in reason for reason in found.reasons), found.reasons


@pytest.mark.parametrize("rule", CASES)
def test_what_is_promoted_is_no_worse_than_the_plain_model_beyond_the_tolerance(rule: str) -> None:
    case = CASES[rule]
    if decided(case).winner == "candidate" and case.clicks >= GATES.min_eval_clicks:
        assert case.candidate <= case.baseline + GATES.ne_tolerance


def test_the_rows_and_the_paired_interval_are_stated_whoever_wins() -> None:
    for case in CASES.values():
        rows, compared = decided(case).reasons[:2]
        assert rows.startswith(
            f"judged on {case.rows} held-out rows with {case.clicks} clicks of the days 2026-01-01 to"
        )
        stated = (
            "has the 95 % interval -0.0500 to 0.0100" if case.clicks else "is undefined (no clicks among 1000 rows)"
        )
        assert stated in compared


@pytest.mark.parametrize(("clicks", "which"), [(0, "no clicks"), (1000, "nothing but clicks")])
def test_rows_of_one_label_refuse_and_are_named_as_the_reason(clicks: int, which: str) -> None:
    case = Case(None, "", candidate=NAN, baseline=NAN, calibration=NAN, baseline_calibration=NAN, clicks=clicks)
    decision = decided(case)
    assert decision.winner is None
    assert f"candidate: NE is undefined ({which} among 1000 rows): nothing can be compared" in decision.reasons
    assert not any("nan" in reason for reason in decision.reasons)


def test_a_refusal_names_every_broken_rule_and_no_kept_one() -> None:
    found = decided(Case(None, "", candidate=0.8, rows=1, quality=(False, ["x"])))
    assert len(found.reasons) == 2 + 2 + 2 + 1  # said of all; broken for the day; by the candidate; by the baseline
    assert not any("calibration" in reason for reason in found.reasons)


def test_days_with_a_champion_of_another_kind_are_left_out_and_that_is_said() -> None:
    found = replace(evidence(Case("candidate", "")), champion_days=DAYS[1:])
    reasons = judge(found, quality=PASSED, gates=GATES).reasons
    assert any("on the day 2026-01-02, whose champion was of the same kind" in reason for reason in reasons)


WARNED = {  # headroom ratio, NE of baseline and FM, bounds: the warning's beginning and end
    "enough": (0.2, 0.9, 0.8, (0.1, 0.3), None),
    "too little": (0.19, 0.9, 0.8, (-0.1, 0.3), ("headroom ratio 0.19: below gates.min_headroom_ratio 0.2", "to 0.30")),
    "negative": (-0.5, 0.9, 0.8, (-0.7, -0.3), ("headroom ratio -0.50: below", "-0.70 to -0.30")),
    "no interval": (0.1, 0.9, 0.8, (math.nan, math.nan), ("headroom ratio 0.10: below", "rows are too few")),
    "FM worse": (math.nan, 0.8, 0.9, (-0.1, 0.3), ("FM no better than the baseline: NE 0.9000", "-0.1000 to 0.3000")),
    "FM equal": (math.nan, 0.8, 0.8, (math.nan, math.nan), ("FM no better than the baseline: NE 0.8", "too few")),
    "one label": (math.nan, math.nan, math.nan, (math.nan, math.nan), None),
}


@pytest.mark.parametrize("row", WARNED)
def test_a_vertical_that_takes_too_little_is_warned_of(row: str) -> None:
    ratio, baseline, foundation, bounds, expected = WARNED[row]
    gates = Gates(min_headroom_ratio=0.2)
    found = headroom_warnings(
        ratio,
        ne_baseline=baseline,
        ne_foundation=foundation,
        ratio_bounds=bounds,
        lead_bounds=bounds,
        gates=gates,
    )
    if expected is None:
        assert found == []
    else:
        assert len(found) == 1 and found[0].startswith(expected[0]) and found[0].endswith(expected[1])
