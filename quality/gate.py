"""May this vertical model replace the champion, and does it take enough of what the foundation model knows?"""

import math
from dataclasses import dataclass
from typing import Protocol

from config import Gates


class Metrics(Protocol):
    """What the gate looks at; both models are judged on the same held-out rows."""

    @property
    def rows(self) -> int:
        """Rows judged."""

    @property
    def ne(self) -> float:
        """Normalized entropy: 1.0 is as good as always predicting the base rate, lower is better."""

    @property
    def calibration(self) -> float:
        """Predicted clicks over actual clicks."""


@dataclass(frozen=True)
class Verdict:
    """The gate's decision.

    Attributes:
        promote: whether the candidate becomes champion.
        reasons: what was compared with what; for a refusal only what spoke against it. Never empty.
    """

    promote: bool
    reasons: list[str]


def judge(candidate: Metrics, champion: Metrics | None, *, quality: tuple[bool, list[str]], gates: Gates) -> Verdict:
    """Decides on one candidate.

    Args:
        candidate: the new model's metrics.
        champion: the present champion's on the same rows; None if there is no champion yet.
        quality: the day's data quality, as quality.day_quality.quality_passed returns it.
        gates: thresholds.

    Returns:
        Promote, with every comparison, or refuse, with every rule that was broken.
    """
    passed, quality_reasons = quality
    low, high = gates.calibration
    rules = [
        (passed, f"data quality {'passed' if passed else 'failed'}: {'; '.join(quality_reasons)}"),
        _compare(
            candidate.rows >= gates.min_eval_rows,
            f"{candidate.rows} held-out rows",
            ">=",
            "<",
            f"gates.min_eval_rows {gates.min_eval_rows}",
        ),
        _entropy_rule(candidate, champion, gates),
        (
            low <= candidate.calibration <= high,  # false for nan
            f"calibration {candidate.calibration:.3f} "
            f"{'inside' if low <= candidate.calibration <= high else 'outside'} gates.calibration [{low}, {high}]",
        ),
    ]
    broken = [reason for kept, reason in rules if not kept]
    return Verdict(promote=not broken, reasons=broken or [reason for _, reason in rules])


def headroom_warnings(
    ratio: float,
    *,
    ne_baseline: float,
    ne_foundation: float,
    ratio_bounds: tuple[float, float],
    lead_bounds: tuple[float, float],
    gates: Gates,
) -> list[str]:
    """What is wrong with a vertical's share of the FM's knowledge; this refuses no candidate.

    Args:
        ratio: the headroom ratio; NaN where the FM is no better than the baseline.
        ne_baseline: NE of the baseline.
        ne_foundation: NE of the FM, on the same rows.
        ratio_bounds: of the ratio's 95 % interval; NaN where it has none.
        lead_bounds: the same of the FM's NE less the baseline's.
        gates: thresholds.

    Returns:
        Warnings, each "what: more of it"; none where the rows define no NE.
    """
    if ne_foundation >= ne_baseline:
        return [
            f"FM no better than the baseline: NE {ne_foundation:.4f} against {ne_baseline:.4f}, so there is nothing to "
            f"take and the headroom ratio is undefined; the difference has {_interval(lead_bounds, 4)}"
        ]
    if not ratio < gates.min_headroom_ratio:  # not for NaN
        return []
    known = _interval(ratio_bounds, 2)
    return [f"headroom ratio {ratio:.2f}: below gates.min_headroom_ratio {gates.min_headroom_ratio}; it has {known}"]


def _interval(bounds: tuple[float, float], digits: int) -> str:
    if not math.isfinite(bounds[0]):
        return "no 95 % interval, as the rows are too few"
    return f"the 95 % interval {bounds[0]:.{digits}f} to {bounds[1]:.{digits}f}"


def _entropy_rule(candidate: Metrics, champion: Metrics | None, gates: Gates) -> tuple[bool, str]:
    if not math.isfinite(candidate.ne):
        return False, f"the candidate's NE is {candidate.ne}: it cannot be compared"
    found = f"NE {candidate.ne:.4f}"
    if champion is None or not math.isfinite(champion.ne):
        why = "there is no champion" if champion is None else f"the champion's NE is {champion.ne}"
        kept, reason = _compare(candidate.ne < 1.0, found, "<", ">=", "1, the base rate's")
        return kept, f"{reason} ({why})"
    return _compare(
        candidate.ne <= champion.ne + gates.ne_tolerance,
        found,
        "<=",
        ">",
        f"the champion's {champion.ne:.4f} + gates.ne_tolerance {gates.ne_tolerance}",
    )


def _compare(kept: bool, found: str, if_kept: str, if_broken: str, bound: str) -> tuple[bool, str]:
    return kept, f"{found} {if_kept if kept else if_broken} {bound}"
