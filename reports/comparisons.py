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
    """Returns the differences and ratios of a verdict; empty where there is none.

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
            interval = intervals[key]
            rows.append(
                Comparison(heading, signed(interval["value"], 4), bounds(interval, 4), _difference(interval, model))
            )
    interval = intervals["headroom_ratio"]
    ne_defined = all(_known(intervals[key]["value"]) for key in DIFFERENCES if key in intervals)
    says = _headroom(interval, gates.min_headroom_ratio) if ne_defined else UNDEFINED
    rows.append(Comparison("headroom ratio", plain(interval["value"], 2), bounds(interval, 2), says))
    interval = intervals.get("transfer_ratio") or {"value": None, "low": None, "high": None}
    missing = verdict.transfer_ratio_missing
    says = f"undefined: {missing}" if missing else "of the FM's gain over the day before, what the VM gained"
    rows.append(Comparison("transfer ratio", plain(interval["value"], 2), bounds(interval, 2), says))
    return rows


def signed(value: float | None, digits: int) -> str:
    """Formats a difference; a dash where there is none."""
    return "–" if not _known(value) else f"{value:+.{digits}f}"


def plain(value: float | None, digits: int) -> str:
    """Formats a figure; a dash where there is none."""
    return "–" if not _known(value) else f"{value:.{digits}f}"


def bounds(interval: Mapping[str, float | None] | None, digits: int) -> str:
    """Formats both ends of an interval; a dash where it has none."""
    if interval is None or not (_known(interval["low"]) and _known(interval["high"])):
        return "–"
    return f"{interval['low']:.{digits}f} to {interval['high']:.{digits}f}"


def _difference(interval: Mapping[str, float | None], model: str) -> str:
    low, high = interval["low"], interval["high"]
    if not _known(interval["value"]):
        return UNDEFINED
    if low is None or high is None:
        return "too few users or clicks for an interval"
    if low <= 0 <= high:
        return "these rows do not tell them apart"
    return f"{model} is better" if high < 0 else f"{model} is worse"


def _headroom(interval: Mapping[str, float | None], gate: float) -> str:
    value, low, high = interval["value"], interval["low"], interval["high"]
    if value is None:
        return "undefined: the FM is no better than the baseline"
    side = "below" if value < gate else "not below"
    sure = "in doubt, as the FM's lead over the baseline may be chance"
    if low is not None and high is not None:
        sure = "at both ends" if high < gate or low >= gate else "in doubt, as the gate lies inside the interval"
    return f"{side} gates.min_headroom_ratio {gate}: {sure}"


def _known(value: float | None) -> bool:
    return value is not None and isfinite(value)
