"""Inline SVG for pages: it takes its colors and fonts from the page, so it follows light, dark and print."""

import io
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Colors that stand for the page's CSS variables until the SVG is written.
PAGE_COLORS = {
    "#010101": "currentColor",
    "#020202": "var(--grid)",
    "#030301": "var(--baseline)",
    "#030302": "var(--candidate)",
    "#030303": "var(--champion)",
    "#030304": "var(--fm)",
    "#030305": "var(--none)",
} | {f"#0404{n:02x}": f"var(--line-{n})" for n in range(8)}
COLOR_OF = {variable: color for color, variable in PAGE_COLORS.items()}
STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "headwater",  # the same plot, the same bytes
    "text.color": "#010101",
    "axes.labelcolor": "#010101",
    "axes.edgecolor": "#020202",
    "xtick.color": "#010101",
    "ytick.color": "#010101",
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "grid.color": "#020202",
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "font.size": 9,
    "lines.markersize": 4.5,
    "lines.linewidth": 1.6,
}
SIZE = (4.2, 2.5)  # inches; the page scales it


@contextmanager
def page_axes(*, height: float = SIZE[1], width: float = SIZE[0]) -> Iterator[tuple[Figure, Axes]]:
    """Yields a figure of the page's style, and its axes; sizes in inches."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        yield figure, figure.add_subplot()


def inline(figure: Figure, label: str, titles: Mapping[str, str] | None = None) -> Markup:
    """Returns the figure's SVG for a page: no size of its own, no ids that another plot may have too.

    Args:
        figure: to draw.
        label: what it shows, for those who cannot see it.
        titles: what a pointer over a part is told, by the part's gid.
    """
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"\s*<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<style.*?</style>|font-family: [^;\"]*;? ?", "", svg, flags=re.DOTALL)  # the page has its own
    svg = re.sub(r' id="\w+(?:\.\w+)?_\d+"', "", svg)
    svg = re.sub(
        r'<svg [^>]*?(viewBox="[^"]*")[^>]*>', Markup(r'<svg \1 role="img" aria-label="{}">').format(label), svg
    )
    for gid, title in (titles or {}).items():
        svg = svg.replace(f'<g id="{gid}">', Markup("<g><title>{}</title>").format(title))
    svg = svg.replace("xlink:href", "href")
    for color, variable in PAGE_COLORS.items():
        svg = svg.replace(color, variable)
    return Markup(svg)
