"""The picture of an explanation: from the VM without the FM, part by part, to the VM that ships and on to the FM."""

import io
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from training.explanation import Explanation

UP, DOWN, OPEN, WHOLE = "#2a9d5c", "#c8553d", "#8fb8de", "#666666"


def waterfall(found: Explanation, title: str) -> str:
    """SVG: NE against the parts, lower is better; whiskers are 95 % intervals of each part.

    Left, the gain as it adds up. Right, hanging from the VM that ships, what each change would add by itself, and the
    FM's own NE as a line.
    """
    style: Any = {"svg.hashsalt": "headwater", "font.size": 9, "axes.spines.top": False, "axes.spines.right": False}
    with mpl.rc_context(style):
        figure = Figure(figsize=(8.4, 0.34 * (len(found.gain) + len(found.open) + 4)), layout="constrained")
        axes = figure.add_subplot()
        lowest = min(found.ne.values())
        base = lowest - 0.15 * (max(found.ne["none"], found.ne["shipped"]) - lowest + 1e-4)
        names, level = ["VM without the FM"], found.ne["none"]
        axes.barh(0, level - base, left=base, color=WHOLE)
        for part in found.gain:
            _bar(axes, -len(names), level, part.gain.value, (part.gain.low, part.gain.high))
            level -= part.gain.value
            names.append(part.name)
        axes.barh(-len(names), level - base, left=base, color=WHOLE)
        names.append("VM that ships")
        for part in found.open:
            _bar(axes, -len(names), level, part.gain.value, (part.gain.low, part.gain.high), color=OPEN)
            names.append(f"+ {part.name}")
        axes.axvline(found.ne["fm"], color="black", linestyle="--", linewidth=1)
        axes.text(found.ne["fm"], 0.7, "FM", ha="center", va="bottom")
        axes.set_yticks([-n for n in range(len(names))], names)
        axes.set_xlim(left=min(base, found.ne["fm"] - 0.1 * abs(found.ne["none"] - found.ne["fm"])))
        axes.set_xlabel("NE (lower is better)")
        axes.set_title(title, fontsize=9)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return buffer.getvalue()


def _bar(
    axes: Axes,
    where: int,
    level: float,
    gain: float,
    interval: tuple[float, float],
    *,
    color: str | None = None,
) -> None:
    axes.barh(where, -gain, left=level, color=color or (UP if gain > 0 else DOWN))
    low, high = interval
    if low == low and high == high:  # a part without an interval has no whisker
        axes.errorbar(
            [level - gain], [where], xerr=[[high - gain], [gain - low]], color="black", capsize=2, linewidth=0.8
        )
