"""The picture: NE and AUC of every architecture on every log."""

from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure


def plot(figures: dict[str, Any], path: Path) -> None:
    """Writes one SVG: a column for each log, NE above and AUC below, with intervals over seeds."""
    with mpl.rc_context({"svg.hashsalt": "headwater", "font.size": 9, "axes.spines.top": False}):
        figure = Figure(figsize=(4.2 * len(figures), 5.4), layout="constrained")
        for column, (data_set, results) in enumerate(figures.items()):
            names = list(results["architectures"])
            for row, (metric, better) in enumerate((("ne", "lower"), ("auc", "higher"))):
                axes = figure.add_subplot(2, len(figures), row * len(figures) + column + 1)
                for height, name in enumerate(names):
                    measured = results["architectures"][name][metric]
                    half = measured.get("high", measured["mean"]) - measured["mean"]
                    axes.errorbar(
                        [measured["mean"]], [-height], xerr=[half], fmt="o", capsize=2, markersize=3, color="C0"
                    )
                axes.set_yticks([-n for n in range(len(names))], [name.replace(" and ", "\nand ") for name in names])
                axes.set_title(f"{data_set}: {metric.upper()}, {better} is better", fontsize=9)
                axes.locator_params(axis="x", nbins=4)
                axes.grid(visible=True, alpha=0.3)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, metadata={"Date": None})
