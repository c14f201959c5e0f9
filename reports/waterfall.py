"""The picture of an explanation: from the VM without the FM, part by part, to the VM that ships and on to the FM."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

UP, DOWN, OPEN, WHOLE = "#2a9d5c", "#c8553d", "#8fb8de", "#666666"


@dataclass(frozen=True)
class Bar:
    """NE that one thing gains, with its 95 % interval; NaN bounds: none."""

    name: str
    gain: float
    low: float
    high: float


def waterfall(ne: Mapping[str, float], parts: Sequence[Bar], still_open: Sequence[Bar], title: str) -> str:
    """Draws NE against the parts as SVG, lower is better; whiskers are 95 % intervals of each part.

    Above, the gain as it adds up. Below, hanging from the VM that ships, what each change would add by itself, and the
    FM's own NE as a line.

    Args:
        ne: of `none`, `shipped` and `fm`.
        parts: that sum to the gain of the VM that ships.
        still_open: what changes would add to it, each by itself.
        title: of the picture.
    """
    style: Any = {"svg.hashsalt": "headwater", "font.size": 9, "axes.spines.top": False, "axes.spines.right": False}
    with mpl.rc_context(style):
        figure = Figure(figsize=(8.4, 0.34 * (len(parts) + len(still_open) + 4)), layout="constrained")
        axes = figure.add_subplot()
        lowest = min(*ne.values(), *(ne["shipped"] - bar.gain for bar in still_open))
        base = lowest - 0.15 * (max(ne["none"], ne["shipped"]) - lowest + 1e-4)
        names, level = ["VM without the FM"], ne["none"]
        axes.barh(0, level - base, left=base, color=WHOLE)
        for bar in parts:
            _draw(axes, -len(names), level, bar, UP if bar.gain > 0 else DOWN)
            level -= bar.gain
            names.append(bar.name)
        axes.barh(-len(names), level - base, left=base, color=WHOLE)
        names.append("VM that ships")
        for bar in still_open:
            _draw(axes, -len(names), level, bar, OPEN)
            names.append(f"+ {bar.name}")
        axes.axvline(ne["fm"], color="black", linestyle="--", linewidth=1)
        axes.text(ne["fm"], 0.7, "FM", ha="center", va="bottom")
        axes.set_yticks([-n for n in range(len(names))], names)
        axes.set_xlim(left=min(base, ne["fm"] - 0.1 * abs(ne["none"] - ne["fm"])))
        axes.set_xlabel("NE (lower is better)")
        axes.set_title(title, fontsize=9)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return buffer.getvalue()


def _draw(axes: Axes, height: int, level: float, bar: Bar, color: str) -> None:
    axes.barh(height, -bar.gain, left=level, color=color)
    if isfinite(bar.low) and isfinite(bar.high):
        reach = [[bar.high - bar.gain], [bar.gain - bar.low]]
        axes.errorbar([level - bar.gain], [height], xerr=reach, color="black", capsize=2, linewidth=0.8)
