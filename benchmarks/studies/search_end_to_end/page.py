"""docs/results/search_end_to_end.md: the tables of the study, from its kept result files."""

import json
from pathlib import Path
from typing import Any

from benchmarks.report import RESULTS
from config import ROOT

PAGE = ROOT / "docs" / "results" / "search_end_to_end.md"
NAME = "search_end_to_end"
INTRODUCTION = """# A search from end to end: results

Written by `python -m benchmarks.studies.search_end_to_end` from the result files that the comments name.

KuaiRand-Pure, fourteen days, by the platform's own jobs. `search_architecture` makes its trials on the first eleven
and judges them on the newest of these; the best are trained again with several seeds, and `found 1` is the best on
the search's dates. What the table shows is judged on the three dates after them, each before any of it is learnt. No
trial may cost more FLOPs than the platform's own model. Beside it stand that model, as shipped and with the best of
all rates that a search may choose; the architectures by hand at two rates each, which may cost more; and gradient
boosting on the same columns, its sizes chosen. Their settings are those that one training each found best on the
search's dates. *Less* is the found model's NE less the other's: below 0, the found one is better. Intervals are of
95 %, over seeds on these rows, and over users of these trained models.

`shipped` is the model of the sections `foundation_model` and `vertical_model` of platform.yaml. The foundation model
that was found is that of the source `kuairand` there since.
"""
EARLIER = """Here no model was averaged, trials were judged on three dates, each before any of it was learnt, and
`found 1` is the trial that was best by its one training."""


def write_page() -> None:
    """Writes the page anew, from all targets that have a result."""
    PAGE.write_text("\n".join([INTRODUCTION, *map(_section, sorted(RESULTS.glob(f"{NAME}*.json")))]))


def _section(path: Path) -> str:
    figures: dict[str, Any] = json.loads(path.read_text())["figures"]
    return "\n".join(
        [f"## {_title(figures['target'])}\n", verdict(figures), "", *_table(figures), "", _marker(path), ""]
    )


def _title(target: str) -> str:
    return "The foundation model" if target == "foundation" else f"The vertical `{target}`"


def verdict(figures: dict[str, Any]) -> str:
    """Says in words what the search found."""
    models, gain = figures["models"], figures["relative_gain_over_shipped"]
    against = {name: of["found_less_this"] for name, of in models.items() if "found_less_this" in of}
    trials = sum(figures["trials"].values())
    ended = ", ".join(f"{count} {status.replace('_', ' ')}" for status, count in figures["trials"].items())
    found, cap = figures["found_models"][0]["flops"] / 1e6, figures["cost_cap"] / 1e6
    by_hand = figures["by_hand_chosen"]
    by_all_seeds = "search_ne" in figures["found_models"][0]
    told = [] if by_all_seeds else [EARLIER]
    told += [
        f"`{trials}` trials (`{ended}`). The found model's NE is {100 * abs(gain):.2f} % "
        f"{'below' if gain > 0 else 'above'} that of the shipped one, at {found:.3f} MFLOPs an example against "
        f"{cap:.3f}; the goal was `0.4 %` below."
    ]
    for name, what in (
        ("shipped", "The shipped model"),
        ("shipped, its rates chosen", "The shipped model with its rates chosen"),
        (by_hand, f"The architecture by hand that was best on the search's dates, `{by_hand}`,"),
        ("boosting", "Gradient boosting"),
    ):
        if name in against:
            told.append(f"{what} {outcome(against[name])}.")
    return "\n".join(told)


def outcome(less: dict[str, Any]) -> str:
    """Says whether the found model is better than another one, by both intervals."""
    seeds, users = less["over_seeds"], less["over_users"]
    if "low" not in seeds:
        return "was trained with one seed only"
    if max(seeds["high"], users["high"]) < 0:
        return "is worse"
    if min(seeds["low"], users["low"]) > 0:
        return "is better"
    return "is not separated from the found one"


def _table(figures: dict[str, Any]) -> list[str]:
    flops = figures["flops"] | {f"found {n}": one["flops"] for n, one in enumerate(figures["found_models"], start=1)}
    flops["shipped, its rates chosen"] = flops.get("shipped", figures["cost_cap"])
    flops["shipped"] = figures["cost_cap"]
    rows = sorted(figures["models"].items(), key=lambda item: item[1]["ne"]["mean"])
    table = [
        "| model | NE | its half width | less | over seeds | over users | MFLOPs an example |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, of in rows:
        ne, less = of["ne"], of.get("found_less_this")
        half = f"{(ne['high'] - ne['low']) / 2:.4f}" if "low" in ne else "–"
        cost = f"{flops[name] / 1e6:.3f}" if flops.get(name) else "–"
        cells = ["–", "–", "–"]
        if less:
            cells = [f"{less['over_seeds']['mean']:+.4f}", _ends(less["over_seeds"]), _ends(less["over_users"])]
        table.append(f"| {name} | {ne['mean']:.4f} | {half} | {' | '.join(cells)} | {cost} |")
    return table


def _ends(of: dict[str, float]) -> str:
    return f"{of['low']:+.4f} to {of['high']:+.4f}" if "low" in of else "–"


def _marker(path: Path) -> str:
    return f"<!-- figures: {path.name} scale 1 0.000001 100 -->"
