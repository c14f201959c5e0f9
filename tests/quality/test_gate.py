"""The promotion gate, one row a rule."""

import math
from dataclasses import dataclass

import pytest

from config import Gates
from quality.gate import headroom_warnings, judge

GATES = Gates(ne_tolerance=0.002, calibration=(0.8, 1.25), min_eval_rows=50)
PASSED = (True, ["174 quality checks passed, 0 warnings"])


@dataclass(frozen=True)
class Figures:
    rows: int = 1000
    ne: float = 0.70
    calibration: float = 1.0


CHAMPION = Figures(ne=0.70)
ROWS = {
    "better": (Figures(ne=0.69), CHAMPION, PASSED, True, "NE 0.6900 <= the champion's 0.7000"),
    "worse within tolerance": (Figures(ne=0.7019), CHAMPION, PASSED, True, "+ gates.ne_tolerance 0.002"),
    "worse than tolerance": (Figures(ne=0.7021), CHAMPION, PASSED, False, "NE 0.7021 > the champion's 0.7000"),
    "NE not a number": (Figures(ne=math.nan), CHAMPION, PASSED, False, "NE is nan"),
    "NE infinite, no champion": (Figures(ne=math.inf), None, PASSED, False, "NE is inf"),
    "first, better than the base rate": (Figures(ne=0.99), None, PASSED, True, "NE 0.9900 < 1"),
    "first, no better than the base rate": (Figures(ne=1.0), None, PASSED, False, "NE 1.0000 >= 1"),
    "champion cannot be judged": (Figures(), Figures(ne=math.nan), PASSED, True, "the champion's NE is nan"),
    "quality failed": (Figures(ne=0.5), CHAMPION, (False, ["label is 0 or 1"]), False, "failed: label is 0 or 1"),
    "rows enough": (Figures(rows=50), CHAMPION, PASSED, True, "50 held-out rows >= gates.min_eval_rows 50"),
    "rows too few": (Figures(rows=49), CHAMPION, PASSED, False, "49 held-out rows < gates.min_eval_rows 50"),
    "calibration low": (Figures(calibration=0.79), CHAMPION, PASSED, False, "calibration 0.790 outside"),
    "calibration at the edge": (Figures(calibration=1.25), CHAMPION, PASSED, True, "calibration 1.250 inside"),
    "calibration high": (Figures(calibration=1.26), CHAMPION, PASSED, False, "[0.8, 1.25]"),
    "calibration not a number": (
        Figures(calibration=math.nan),
        CHAMPION,
        PASSED,
        False,
        "calibration is undefined (nan)",
    ),
}


@pytest.mark.parametrize("rule", ROWS)
def test_rule(rule: str) -> None:
    candidate, champion, quality, promote, reason = ROWS[rule]
    verdict = judge(candidate, champion, quality=quality, gates=GATES)
    assert verdict.promote is promote
    assert any(reason in given for given in verdict.reasons), verdict.reasons


def test_rows_of_one_label_refuse_and_are_named_as_the_reason() -> None:
    nothing = Figures(ne=math.nan, calibration=math.nan)
    verdict = judge(nothing, CHAMPION, quality=PASSED, gates=GATES, undefined="no clicks among 1000 rows")
    assert not verdict.promote
    assert verdict.reasons == [
        "NE is undefined (no clicks among 1000 rows): nothing can be compared",
        "calibration is undefined (no clicks among 1000 rows)",
    ]


def test_a_refusal_names_every_broken_rule_and_no_kept_one() -> None:
    verdict = judge(Figures(rows=1, ne=0.8), CHAMPION, quality=(False, ["x"]), gates=GATES)
    assert len(verdict.reasons) == 3
    assert not any("calibration" in reason for reason in verdict.reasons)


def test_a_promotion_gives_every_comparison() -> None:
    assert len(judge(Figures(), CHAMPION, quality=PASSED, gates=GATES).reasons) == 4


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
