"""95 % intervals of a mean over seeds."""

from collections.abc import Iterable

import numpy as np
from scipy.stats import t as student_t

LEVEL = 0.95


def half_width(standard_error: float, degrees_of_freedom: int) -> float:
    """Computes half the width of a 95 % t interval."""
    return float(student_t.ppf((1 + LEVEL) / 2, degrees_of_freedom)) * standard_error


def interval(values: Iterable[float]) -> dict[str, float] | None:
    """Computes mean and 95 % t interval over seeds; None without values, no bounds of one value."""
    x = np.asarray(list(values), float)
    if not len(x):
        return None
    result: dict[str, float] = {"mean": float(x.mean()), "seeds": len(x)}
    if len(x) > 1:
        half = half_width(float(x.std(ddof=1) / np.sqrt(len(x))), len(x) - 1)
        result |= {"low": result["mean"] - half, "high": result["mean"] + half}
    return {name: round(value, 5) for name, value in result.items()}
