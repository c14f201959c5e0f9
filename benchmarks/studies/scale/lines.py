"""Lines through measured costs: what a step costs in any case, and what every row adds."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log2

import numpy as np
from scipy.optimize import nnls


@dataclass(frozen=True)
class Line:
    """A cost = fixed + slopes · units; nothing of it is negative."""

    fixed: float
    slopes: tuple[float, ...]  # one for each kind of unit
    worst: float  # largest distance of a point from the line, as a share of the point

    def at(self, *units: float) -> float:
        """Computes the cost of so many units of each kind."""
        return self.fixed + sum(slope * count for slope, count in zip(self.slopes, units, strict=True))


def line(costs: Sequence[float], *units: Sequence[float]) -> Line:
    """Fits a line by least squares.

    Args:
        costs: measured.
        units: of each kind, for each cost; a kind that is 0 throughout gets the slope 0.

    Returns:
        The line whose fixed part and slopes are 0 or more.
    """
    scales = [max(max(kind), 1.0) for kind in units]  # so that rows in millions and a constant weigh alike
    columns = [np.ones(len(costs)), *(np.asarray(kind) / scale for kind, scale in zip(units, scales, strict=True))]
    found, _ = nnls(np.stack(columns, axis=1), np.asarray(costs, dtype=float))
    fixed, slopes = float(found[0]), tuple(float(s) / scale for s, scale in zip(found[1:], scales, strict=True))
    fitted = [fixed + sum(s * u for s, u in zip(slopes, of, strict=True)) for of in zip(*units, strict=True)]
    worst = max((abs(f - c) / c for f, c in zip(fitted, costs, strict=True) if c > 0), default=0.0)
    return Line(fixed, slopes, worst)


def exponent(costs: Sequence[float]) -> float | None:
    """Computes p of cost = fixed + c · rowsᵖ from costs at sizes that double; the fixed part cancels.

    Of n, 2n, 4n it is log2((cost(4n) − cost(2n)) / (cost(2n) − cost(n))): 1 is a line, 2 a square.

    Returns:
        None where a cost falls, or there are fewer than three.
    """
    if len(costs) < 3:
        return None
    later, earlier = costs[-1] - costs[1], costs[-2] - costs[0]
    return log2(later / earlier) if later > 0 and earlier > 0 else None
