"""What a training that was stopped early would have reached: the label of a low-fidelity trial."""

from collections.abc import Sequence

import numpy as np

from search.trial import Trial

LAST = 5  # points of a curve that its line is fitted to


def extrapolated(curve: Sequence[float], windows: int, *, last: int = LAST) -> float:
    """Extends a curve by the line through its last points (arXiv:2311.07870).

    Where the line ends on is NE_short + m Δ: the last fitted value, and the slope times the windows still to come.

    Args:
        curve: objective by window of equally much data, at least two.
        windows: of the full budget.
        last: points that the line is fitted to; fewer where the curve is shorter.

    Raises:
        ValueError: the curve has fewer than two points or more than the full budget has windows.
    """
    if not 2 <= len(curve) <= windows:
        raise ValueError(f"A curve of {len(curve)} windows cannot be extended to {windows}; it needs 2 to {windows}")
    points = np.asarray(curve[-last:], np.float64)
    slope, intercept = np.polyfit(np.arange(len(points)), points, 1)
    return float(intercept + slope * (len(points) - 1 + windows - len(curve)))


def labels(history: Sequence[Trial]) -> list[float | None]:
    """Returns by what each trial is ranked: its objective, or what its curve leads to; None: it is not ranked.

    The longest curve in the history is that of the full budget. Trials that failed are not ranked, with whatever they
    had reached.
    """
    windows = max((len(trial.curve) for trial in history), default=0)
    return [_label(trial, windows) if trial.status == "done" else None for trial in history]


def _label(trial: Trial, windows: int) -> float | None:
    if trial.objective is None and len(trial.curve) >= 2:
        return extrapolated(trial.curve, windows)
    return trial.objective
