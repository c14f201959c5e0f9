"""The study's pictures: gains of the arms, by FM size, by age of the FM, and along each setting."""

from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

ORDER = (
    *("kd", "ah", "ah_sa", "soft_history", "items", "raw", "raw_ah", "codes"),
    *("loopfm", "loopfm_ah", "loopfm_ah_sa", "both", "both_ah"),
)
COLUMNS = 3


def plots(figures: dict[str, Any], data_set: str, folder: Path) -> None:
    """Writes `transfer_study_<data set>.svg`."""
    panels = [(title, draw) for title, has, draw in _PANELS if figures.get(has)]
    rows = -(-len(panels) // COLUMNS)
    with mpl.rc_context({"svg.hashsalt": "headwater", "font.size": 9, "axes.spines.top": False}):
        figure = Figure(figsize=(5.0 * min(COLUMNS, len(panels)), 3.6 * rows), layout="constrained")
        for n, (title, draw) in enumerate(panels):
            axes = figure.add_subplot(rows, min(COLUMNS, len(panels)), n + 1)
            draw(axes, figures)
            axes.set_title(title, fontsize=9)
            axes.grid(visible=True, alpha=0.3)
        figure.suptitle(f"{data_set}: NE gained over the VM without an FM, mean over verticals, 95 % over seeds")
        folder.mkdir(parents=True, exist_ok=True)
        figure.savefig(folder / f"transfer_study_{data_set}.svg", metadata={"Date": None})


def _bar(axes: Axes, height: float, measured: dict[str, float], **style: Any) -> None:
    low, high = measured.get("low", measured["mean"]), measured.get("high", measured["mean"])
    error = [[measured["mean"] - low], [high - measured["mean"]]]
    axes.errorbar([measured["mean"]], [height], xerr=error, fmt="o", capsize=2, **style)


def _arms(axes: Axes, figures: dict[str, Any]) -> None:
    kinds = [kind for kind, arms in figures["gain_over_none"].items() if len(arms) > 1]
    for n, kind in enumerate(kinds):
        for position, arm in enumerate(ORDER):
            if arm in figures["gain_over_none"][kind]:
                measured = figures["gain_over_none"][kind][arm]
                _bar(
                    axes,
                    -position - 0.12 * n,
                    measured,
                    color=f"C{n}",
                    markersize=3,
                    label=kind if arm == "ah" else None,
                )
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_yticks([-n for n in range(len(ORDER))], ORDER)
    axes.legend(fontsize=7)


def _lines(axes: Axes, by_x: dict[str, dict[str, Any]], arms: tuple[str, ...]) -> None:
    for arm in arms:
        points = [(x, by_arm[arm]) for x, by_arm in by_x.items() if arm in by_arm]
        low = [f["mean"] - f.get("low", f["mean"]) for _, f in points]
        high = [f.get("high", f["mean"]) - f["mean"] for _, f in points]
        axes.errorbar([x for x, _ in points], [f["mean"] for _, f in points], yerr=[low, high], capsize=2, label=arm)
    axes.legend(fontsize=7)


def _sizes(axes: Axes, figures: dict[str, Any]) -> None:
    sizes = {size: figures["fm_size"][size] for size in ("small", "medium", "large") if size in figures["fm_size"]}
    _lines(axes, sizes, ("fm_gain", "ah", "loopfm", "loopfm_ah"))


def _stale(axes: Axes, figures: dict[str, Any]) -> None:
    _lines(axes, figures["stale"], ("ah", "ah_sa", "loopfm_ah"))
    axes.set_xlabel("age of the FM, days")


def _days(axes: Axes, figures: dict[str, Any]) -> None:
    for name, by_day in figures["ne_by_day"].items():
        if name != "truth":
            axes.plot(list(by_day), list(by_day.values()), marker="o", markersize=3, label=name)
    axes.set_xlabel("day of the log")
    axes.legend(fontsize=7)


def _sweeps(axes: Axes, figures: dict[str, Any]) -> None:
    names: list[str] = []
    for sweep, values in figures["sweeps"].items():
        for value, measured in values.items():
            _bar(axes, -len(names), measured, color="C0", markersize=3)
            names.append(f"{sweep} {value}")
    shipped = figures["gain_over_none"]["dnn"].get("loopfm_ah")
    if shipped:
        axes.axvline(shipped["mean"], color="black", linewidth=0.8, linestyle="--")
    axes.set_yticks([-n for n in range(len(names))], names)


_PANELS = (
    ("arms", "gain_over_none", _arms),
    ("VMs without window counts (lean)", "lean", lambda axes, figures: _arms(axes, figures["lean"])),
    ("NE by day", "ne_by_day", _days),
    ("size of the FM", "fm_size", _sizes),
    ("age of the FM", "stale", _stale),
    ("LoopFM + KD with one setting changed (dashed: as shipped)", "sweeps", _sweeps),
)
