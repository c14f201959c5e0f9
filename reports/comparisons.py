"""What a verdict's differences and ratios say, with their 95 % intervals, in words."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite

from config import Gates
from quality.promotion_verdict import PromotionVerdict

DIFFERENCES = {  # key: heading, what the first model is called
    "ne_candidate_minus_baseline": ("NE candidate − baseline", "the candidate"),
    "ne_candidate_minus_champion": ("NE candidate − champion", "the candidate"),
    "ne_fm_minus_baseline": ("NE FM − baseline", "the FM"),
}


UNDEFINED = "undefined: the held-out rows are all clicks, or have none"


@dataclass(frozen=True)
class Comparison:
    """One row of a table; all texts."""

    heading: str
    value: str
    bounds: str
    says: str


def comparisons(verdict: PromotionVerdict, gates: Gates) -> list[Comparison]:
    """The differences and ratios of a verdict; empty where there is none.

    Args:
        verdict: as promote_vertical commits it.
        gates: thresholds.
    """
    intervals = verdict.intervals
    if not intervals:
        return []
    rows = []
    for key, (heading, model) in DIFFERENCES.items():
        if key in intervals:
            found = intervals[key]
            rows.append(Comparison(heading, signed(found["value"], 4), bounds(found, 4), _difference(found, model)))
    found = intervals["headroom_ratio"]
    ne_defined = all(_known(intervals[key]["value"]) for key in DIFFERENCES if key in intervals)
    says = _headroom(found, gates.min_headroom_ratio) if ne_defined else UNDEFINED
    rows.append(Comparison("headroom ratio", plain(found["value"], 2), bounds(found, 2), says))
    found = intervals.get("transfer_ratio") or {"value": None, "low": None, "high": None}
    missing = verdict.transfer_ratio_missing
    says = f"undefined: {missing}" if missing else "of the FM's gain over the day before, what the VM gained"
    rows.append(Comparison("transfer ratio", plain(found["value"], 2), bounds(found, 2), says))
    return rows


def signed(value: float | None, digits: int) -> str:
    """A difference; a dash where there is none."""
    return "–" if not _known(value) else f"{value:+.{digits}f}"


def plain(value: float | None, digits: int) -> str:
    """A figure; a dash where there is none."""
    return "–" if not _known(value) else f"{value:.{digits}f}"


def bounds(found: Mapping[str, float | None] | None, digits: int) -> str:
    """Both ends of an interval; a dash where it has none."""
    if found is None or not (_known(found["low"]) and _known(found["high"])):
        return "–"
    return f"{found['low']:.{digits}f} to {found['high']:.{digits}f}"


def _difference(found: Mapping[str, float | None], model: str) -> str:
    low, high = found["low"], found["high"]
    if not _known(found["value"]):
        return UNDEFINED
    if low is None or high is None:
        return "too few users or clicks for an interval"
    if low <= 0 <= high:
        return "these rows do not tell them apart"
    return f"{model} is better" if high < 0 else f"{model} is worse"


def _headroom(found: Mapping[str, float | None], gate: float) -> str:
    value, low, high = found["value"], found["low"], found["high"]
    if value is None:
        return "undefined: the FM is no better than the baseline"
    side = "below" if value < gate else "not below"
    sure = "in doubt, as the FM's lead over the baseline may be chance"
    if low is not None and high is not None:
        sure = "at both ends" if high < gate or low >= gate else "in doubt, as the gate lies inside the interval"
    return f"{side} gates.min_headroom_ratio {gate}: {sure}"


def _known(value: float | None) -> bool:
    return value is not None and isfinite(value)
