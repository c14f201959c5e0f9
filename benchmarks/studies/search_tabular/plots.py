"""The picture: best rank against trials, by method and table."""

from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure


def plot(figures: dict[str, Any], path: Path) -> None:
    """Writes one SVG, a panel for each table: the median over seeds, on logarithmic axes."""
    tables = figures["tables"]
    with mpl.rc_context({"svg.hashsalt": "headwater", "font.size": 9, "axes.spines.top": False}):
        figure = Figure(figsize=(3.6 * len(tables), 3.4), layout="constrained")
        for column, (name, of_table) in enumerate(tables.items()):
            axes = figure.add_subplot(1, len(tables), column + 1)
            for method, results in of_table["methods"].items():
                curve = results["best_rank_by_trial"]
                axes.plot(range(1, len(curve) + 1), curve, label=method.replace("_", " "), linewidth=1.2)
            axes.set_xscale("log")
            axes.set_yscale("log")
            axes.set_xlabel("trials")
            axes.set_title(f"{name.replace('_', ' ')}: best rank of {of_table['combinations']}", fontsize=9)
            axes.grid(visible=True, alpha=0.3)
            if not column:
                axes.legend(frameon=False, fontsize=8)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, metadata={"Date": None})
