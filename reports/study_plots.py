"""Plots of a search's page."""

from collections.abc import Mapping
from itertools import accumulate
from typing import Any

import networkx as nx
from markupsafe import Markup
from matplotlib.ticker import EngFormatter, MaxNLocator

from reports.study_facts import TrialFacts
from reports.svg import COLOR_OF, SIZE, inline, page_axes

INK, EDGE = COLOR_OF["currentColor"], COLOR_OF["var(--baseline)"]
WIDE = 8.4  # inches; a drawing takes the page's width
GOOD, FELL_BACK = COLOR_OF["var(--candidate)"], COLOR_OF["var(--line-4)"]
HISTORY_READERS = ("ask", "interest")  # operations
KINDS = dict.fromkeys(("linear", "cross", "gate", "product"), 0) | dict.fromkeys(("dot", "fm"), 1)
KINDS |= dict.fromkeys(("fmb", "lcb", "ensemble", "attention", "ask"), 2)


def best_so_far(trials: list[TrialFacts], *, label: str) -> Markup:
    """Plots NE of each trial, and the lowest so far, against the seconds of training until then."""
    done = [trial for trial in trials if trial.ne is not None and trial.status == "done"]
    spent = dict(zip((t.number for t in trials), accumulate(t.seconds or 0.0 for t in trials), strict=True))
    minutes, nes = [spent[trial.number] / 60 for trial in done], [trial.ne or 0.0 for trial in done]
    with page_axes() as (figure, axes):
        titles: dict[str, str] = {}
        for trial, at in zip(done, minutes, strict=True):
            titles |= _point(axes, trial, at)
        axes.step(minutes, list(accumulate(nes, min)), where="post", color=INK)
        _see_the_best(axes, nes)
        axes.set_xlabel("minutes of training")
        axes.set_ylabel("NE (lower is better)")
        return inline(figure, label, titles)


def front(trials: list[TrialFacts], *, label: str) -> Markup:
    """Plots NE against FLOPs; the line joins the trials that none beats in both."""
    done = [trial for trial in trials if trial.ne is not None and trial.cost is not None and trial.status == "done"]
    with page_axes() as (figure, axes):
        titles: dict[str, str] = {}
        for trial in done:
            titles |= _point(axes, trial, trial.cost or 0.0)
        best: list[TrialFacts] = []
        for trial in sorted(done, key=lambda one: (one.cost or 0.0, one.ne or 0.0)):
            if not best or (trial.ne or 0.0) < (best[-1].ne or 0.0):
                best.append(trial)
        axes.step([t.cost or 0.0 for t in best], [t.ne or 0.0 for t in best], where="post", color=INK, linewidth=1.0)
        costs = [trial.cost or 0.0 for trial in done]
        if max(costs) > 10 * min(costs):
            axes.set_xscale("log")
        else:
            axes.xaxis.set_major_formatter(EngFormatter())
            axes.xaxis.set_major_locator(MaxNLocator(5))
        _see_the_best(axes, [trial.ne or 0.0 for trial in done])
        axes.set_xlabel("FLOPs an example")
        axes.set_ylabel("NE (lower is better)")
        return inline(figure, label, titles)


def importance(shares: Mapping[str, float], *, label: str) -> Markup:
    """Plots how much of NE's variation each choice explains, the most important on top."""
    ordered = sorted(shares.items(), key=lambda item: item[1])[-12:]
    with page_axes(height=0.8 + 0.2 * len(ordered)) as (figure, axes):
        axes.barh([name for name, _ in ordered], [share for _, share in ordered], color=GOOD, height=0.6)
        axes.grid(visible=False, axis="y")
        axes.set_xlabel("share of what explains NE")
        return inline(figure, label)


def drawing(nodes: Mapping[str, Mapping[str, Any]], outputs: list[str], *, label: str) -> Markup:
    """Draws an architecture graph: the inputs at the left, the logit at the right."""
    graph = nx.DiGraph()
    for name, node in nodes.items():
        reads = [*node.get("inputs", []), *(["history"] if node["op"] in HISTORY_READERS else [])]
        graph.add_edges_from((source, name) for source in reads)
    graph.add_edges_from((name, "logit") for name in outputs)
    for column, names in enumerate(nx.topological_generations(graph)):
        for name in names:
            graph.nodes[name]["column"] = column
    places = nx.multipartite_layout(graph, subset_key="column")
    columns = [len(names) for names in nx.topological_generations(graph)]
    with page_axes(height=max(SIZE[1], 0.6 + 0.55 * max(columns)), width=max(WIDE, 1.1 * len(columns))) as (
        figure,
        axes,
    ):
        nx.draw_networkx_edges(
            graph, places, ax=axes, edge_color=EDGE, arrowsize=9, node_size=1100, connectionstyle="arc3,rad=0.08"
        )
        for name, (x, y) in places.items():
            axes.text(
                x,
                y,
                _named(name, nodes.get(name)),
                ha="center",
                va="center",
                fontsize=7,
                bbox={"boxstyle": "round,pad=0.35", "facecolor": "none", "edgecolor": _color(name, nodes)},
            )
        axes.margins(0.06, 0.15)
        axes.axis("off")
        return inline(figure, label)


def _point(axes: Any, trial: TrialFacts, x: float) -> dict[str, str]:
    """Draws a trial; a click opens its MLflow run. Returns what a pointer over it is told."""
    (line,) = axes.plot(
        [x], [trial.ne], marker="X" if trial.fallback else "o", color=FELL_BACK if trial.fallback else GOOD
    )
    line.set_gid(f"trial-{trial.number}")
    line.set_url(trial.url)
    cost = "" if trial.cost is None else f", {trial.cost:,.0f} FLOPs"
    return {f"trial-{trial.number}": f"trial {trial.number}: NE {trial.ne:.4f}{cost}\n{trial.said}"}


def _see_the_best(axes: Any, nes: list[float]) -> None:
    """Cuts off what is far from the best: one bad trial would hide all differences."""
    ordered = sorted(nes)
    if len(ordered) > 4:
        middle = ordered[len(ordered) // 2]
        axes.set_ylim(top=min(ordered[-1], middle + 3 * (middle - ordered[0])) + 0.1 * (middle - ordered[0]) + 1e-4)


def _named(name: str, node: Mapping[str, Any] | None) -> str:
    if node is None:
        return name
    sizes = ", ".join(f"{key} {node[key]}" for key in ("tokens", "width", "rank") if key in node)
    return f"{node['op']}\n{sizes}" if sizes else str(node["op"])


def _color(name: str, nodes: Mapping[str, Mapping[str, Any]]) -> str:
    if name not in nodes:
        return INK
    return COLOR_OF[f"var(--line-{KINDS.get(str(nodes[name]['op']), 3)})"]
