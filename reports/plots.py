"""Plots of a day's page."""

from collections.abc import Iterable, Mapping
from datetime import date
from math import isfinite
from typing import Any

from markupsafe import Markup
from matplotlib.axes import Axes

from reports.day_facts import Curve
from reports.svg import COLOR_OF, SIZE, inline, page_axes

LINES: dict[str, dict[str, Any]] = {  # shape and dash tell models apart where color does not
    "baseline": {"color": COLOR_OF["var(--baseline)"], "marker": "s", "linestyle": "--"},
    "candidate": {"color": COLOR_OF["var(--candidate)"], "marker": "o", "linestyle": "-"},
    "champion": {"color": COLOR_OF["var(--champion)"], "marker": "^", "linestyle": ":"},
    "fm": {"color": COLOR_OF["var(--fm)"], "marker": "D", "linestyle": "-"},
}
HEADROOM_RANGE = (-1.0, 2.0)  # a tiny gap makes ratios huge; values beyond it are only in the table
MAX_TICKS = 6
Series = Mapping[date, float | None]
Bounds = tuple[float, float]  # low, high


def ne_by_day(series: Mapping[str, Series], *, label: str) -> Markup:
    """Plots the NE of models by platform day.

    Args:
        series: by model, one of `LINES`; figures by day.
        label: what the plot shows, for those who cannot see it.
    """
    with page_axes() as (figure, axes):
        for model, points in series.items():
            _line(axes, points, **LINES[model])
        _days(axes, series.values())
        axes.set_ylabel("NE (lower is better)")
        return inline(figure, label)


def foundation_by_day(held_out: Series, scored: Series, *, label: str) -> Markup:
    """Plots the FM's NE by platform day: on held-out rows (solid), and on the day before it was learnt (dashed)."""
    with page_axes() as (figure, axes):
        _line(axes, held_out, **LINES["fm"])
        _line(axes, scored, **LINES["fm"] | {"linestyle": "--", "marker": "o", "markerfacecolor": "none"})
        _days(axes, [held_out, scored])
        axes.set_ylabel("NE (lower is better)")
        return inline(figure, label)


def headroom_by_day(series: Mapping[str, Series], *, gate: float, label: str) -> Markup:
    """Plots the headroom ratio of each vertical by platform day, in the order of the page's line colors.

    Args:
        series: by vertical; ratios by day.
        gate: `gates.min_headroom_ratio`, drawn dashed.
        label: what the plot shows, for those who cannot see it.
    """
    with page_axes() as (figure, axes):
        for n, points in enumerate(series.values()):
            _line(axes, _clipped(points), **_line_style(n))
        _headroom_axes(axes, series.values(), gate)
        return inline(figure, label)


def parts_by_day(series: Mapping[str, Series], *, label: str) -> Markup:
    """Plots the NE that each part of a vertical's gain adds, by platform day, in the order of the page's line colors.

    Args:
        series: by part; NE gained by day.
        label: what the plot shows, for those who cannot see it.
    """
    with page_axes() as (figure, axes):
        for n, points in enumerate(series.values()):
            _line(axes, points, **_line_style(n))
        axes.axhline(0.0, color="#010101", linewidth=0.8)
        _days(axes, series.values())
        axes.set_ylabel("NE gained (higher is better)")
        return inline(figure, label)


def headroom_with_interval(points: Series, intervals: Mapping[date, Bounds], *, gate: float, label: str) -> Markup:
    """Plots one vertical's headroom ratio by platform day, with its interval as a band.

    Args:
        points: ratios by day.
        intervals: bounds by day, for the days that have some.
        gate: `gates.min_headroom_ratio`, drawn dashed.
        label: what the plot shows, for those who cannot see it.
    """
    color = LINES["candidate"]["color"]
    low, high = (_clipped({day: intervals[day][end] if day in intervals else None for day in points}) for end in (0, 1))
    days = sorted(points)
    at, bottom, top = [day.toordinal() for day in days], _heights(low, days), _heights(high, days)
    with page_axes() as (figure, axes):
        axes.fill_between(at, bottom, top, color=color, alpha=0.18, linewidth=0)
        axes.vlines(at, bottom, top, color=color, linewidth=0.8)  # a day between days without interval has no band
        _line(axes, _clipped(points), **LINES["candidate"])
        _headroom_axes(axes, [points], gate)
        return inline(figure, label)


def gains(differences: Mapping[str, Mapping[str, tuple[float, Bounds | None]]], *, label: str) -> Markup:
    """Plots NE of candidate and FM less the baseline's, with intervals: one line a vertical, the first on top.

    Args:
        differences: by vertical, then by model, one of `LINES`: the difference and its bounds, if it has some.
        label: what the plot shows, for those who cannot see it.
    """
    with page_axes(height=max(SIZE[1], 0.8 + 0.32 * len(differences))) as (figure, axes):
        for row, models in enumerate(differences.values()):
            for n, (model, (value, ends)) in enumerate(models.items()):
                style = LINES[model] | {"linestyle": ""}
                height = row + 0.24 * (n - (len(models) - 1) / 2)
                axes.plot([value], [height], **style)
                if ends is not None:
                    axes.hlines(height, *ends, color=style["color"], linewidth=1.4)
        axes.axvline(0.0, color="#010101", linewidth=0.8)
        axes.set_yticks(range(len(differences)), list(differences))
        axes.set_ylim(len(differences) - 0.5, -0.5)
        axes.set_xlabel("NE less the baseline's (left is better)")
        return inline(figure, label)


def calibration(curves: Mapping[str, Curve], *, label: str) -> Markup:
    """Plots click rate against prediction; on the diagonal a model is calibrated."""
    with page_axes() as (figure, axes):
        top = max(
            (float(max(c.predicted.max(), c.actual.max())) for c in curves.values() if len(c.predicted)), default=1
        )
        axes.plot([0, top], [0, top], color="#010101", linewidth=0.8)
        for model, curve in curves.items():
            axes.plot(curve.predicted, curve.actual, **LINES[model])
        axes.set_xlabel("mean prediction")
        axes.set_ylabel("click rate")
        return inline(figure, label)


def _line(axes: Axes, points: Series, **style: Any) -> None:
    """Draws one line; days without a figure are gaps."""
    days = sorted(points)
    axes.plot([day.toordinal() for day in days], _heights(points, days), **style)


def _line_style(n: int) -> dict[str, Any]:
    """Returns the style of the n-th of many lines; shape and dash tell them apart where color does not."""
    color = COLOR_OF[f"var(--line-{n % 8})"]
    return {"color": color, "marker": "osD^vP*X"[n % 8], "linestyle": "-" if n < 8 else "--"}


def _heights(points: Series, days: list[date]) -> list[float]:
    """Returns the figures of days; NaN where there is none."""
    return [v if (v := points[day]) is not None and isfinite(v) else float("nan") for day in days]


def _clipped(points: Series) -> Series:
    """Clips headroom ratios to the range that is drawn."""
    low, high = HEADROOM_RANGE
    return {day: None if v is None else min(max(v, low), high) for day, v in points.items()}


def _headroom_axes(axes: Axes, series: Iterable[Series], gate: float) -> None:
    """Draws lines at the baseline, the FM and the gate, and the days below."""
    low, high = HEADROOM_RANGE
    for level in (0.0, 1.0):
        axes.axhline(level, color="#010101", linewidth=0.8)
    axes.axhline(gate, color=COLOR_OF["var(--none)"], linewidth=1.2, linestyle="--")
    axes.set_ylim(low - 0.1, high + 0.1)
    _days(axes, series)
    axes.set_ylabel("headroom ratio")


def _days(axes: Axes, series: Iterable[Series]) -> None:
    """Sets ticks on days, at most `MAX_TICKS`."""
    days = sorted({day for points in series for day in points})
    if not days:
        return
    step = -(-len(days) // MAX_TICKS)
    shown = days[::-1][::step][::-1]  # the newest day always
    axes.set_xticks([day.toordinal() for day in shown], [f"{day:%m-%d}" for day in shown])
    axes.set_xlim(days[0].toordinal() - 0.5, days[-1].toordinal() + 0.5)
