from datetime import date
from typing import Any

import pytest

from config import Gates
from quality.promotion_verdict import PromotionVerdict
from reports.comparisons import comparisons

GATES = Gates(min_headroom_ratio=0.2)


def interval(value: float | None, low: float | None = None, high: float | None = None) -> dict[str, float | None]:
    return {"value": value, "low": low, "high": high}


def verdict(**changes: Any) -> PromotionVerdict:
    intervals = {
        "ne_candidate_minus_baseline": interval(-0.01, -0.02, -0.001),
        "ne_fm_minus_baseline": interval(-0.04, -0.06, -0.02),
        "headroom_ratio": interval(0.25, 0.1, 0.4),
    }
    return PromotionVerdict(
        day=date(2026, 1, 2),
        vertical="feed",
        winner=None,
        reasons=["x"],
        intervals=intervals | changes,
        transfer_ratio_missing="there is no champion",
    )


def says(heading: str, **changes: Any) -> str:
    return next(row.says for row in comparisons(verdict(**changes), GATES) if row.heading == heading)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (interval(-0.01, -0.02, -0.001), "the candidate is better"),
        (interval(0.01, 0.002, 0.02), "the candidate is worse"),
        (interval(-0.01, -0.02, 0.001), "these rows do not tell them apart"),
        (interval(-0.01), "too few users or clicks for an interval"),
        (interval(None), "undefined: the held-out rows are all clicks, or have none"),
    ],
)
def test_a_difference_is_told_only_where_its_interval_leaves_out_zero(found: dict, expected: str) -> None:
    assert says("NE candidate − baseline", ne_candidate_minus_baseline=found) == expected


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (interval(0.25, 0.1, 0.4), "not below gates.min_headroom_ratio 0.2: in doubt, as the gate lies inside"),
        (interval(0.35, 0.3, 0.4), "not below gates.min_headroom_ratio 0.2: at both ends"),
        (interval(0.1, 0.05, 0.15), "below gates.min_headroom_ratio 0.2: at both ends"),
        (interval(0.1), "below gates.min_headroom_ratio 0.2: in doubt, as the FM's lead"),
        (interval(None), "undefined: the FM is no better"),
    ],
)
def test_a_headroom_ratio_is_held_against_its_gate(found: dict, expected: str) -> None:
    assert says("headroom ratio", headroom_ratio=found).startswith(expected)


def test_an_undefined_transfer_ratio_says_why_and_a_day_without_verdict_has_no_rows() -> None:
    assert says("transfer ratio") == "undefined: there is no champion"
    assert comparisons(PromotionVerdict.none(date(2026, 1, 2), "feed", "x"), GATES) == []
