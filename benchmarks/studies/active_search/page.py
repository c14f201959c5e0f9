"""docs/results/active_search.md: the tables of the study, from its kept result file."""

import json
from typing import Any

from benchmarks.report import RESULTS
from config import ROOT

PAGE = ROOT / "docs" / "results" / "active_search.md"
FILE = "active_search.json"
INTRODUCTION = """# Active search: results

Written by `python -m benchmarks.studies.active_search` from its result file.

How many positives of a pool are found by so many looks, from one positive that is known. ENS takes the point that lets
all looks left find most; greedy the likeliest; two steps the best pair; UCB the likeliest with a bonus for what is not
known. Means over seeds, the same start for all; *more* is what ENS finds more than the other, with its 95 % interval,
paired by seed, and p of Wilcoxon's one-sided test. Each policy has the number of neighbors with which it finds most
on five other seeds.
"""
TITLES = {
    "clusters": "Discs of a square",
    "architectures": "Architectures in the top `2 %` (NAS-Bench-Graph, arxiv)",
    "movielens": "MovieLens users who will like a film",
    "kuairand": "KuaiRand users who will click an author",
}
POLICIES = {"greedy": "greedy", "two_step": "two steps", "upper_bound": "UCB"}
MARKER = f"<!-- figures: {FILE} -->\n"


def write_page() -> None:
    """Writes the page anew."""
    figures: dict[str, Any] = json.loads((RESULTS / FILE).read_text())["figures"]
    parts = [INTRODUCTION]
    for pool, of in figures["pools"].items():
        parts += [
            f"## {TITLES[pool]}\n",
            _verdict(of),
            _neighbors(figures["neighbors"][pool]),
            "",
            *_table(of),
            "",
            MARKER,
        ]
    parts += ["## In batches\n", _BATCHES, *_gap(figures["gap"]), "", MARKER]
    parts += ["## What pruning leaves\n", _PRUNING, *_pruning(figures["pruning"]), "", MARKER]
    PAGE.write_text("\n".join(parts))


_BATCHES = """The discs, in batches whose labels come together. Batch ENS weighs all labels that the batch may have;
*one after another* is ENS, or greedy, with those before taken for negative. What a batch costs is the adaptivity gap.
"""
_PRUNING = """Share of the points without a label whose score ENS computed one by one; of all others, bounds that one
sparse product gives were enough. CPU seconds are of a whole search.
"""


def _neighbors(of: dict[str, int]) -> str:
    told = {"ens": "ENS", **POLICIES}
    return "Neighbors: " + ", ".join(f"`{k}` for {told[policy]}" for policy, k in of.items()) + "."


def _verdict(of: dict[str, Any]) -> str:
    looks = [key for key in of if key.isdigit()]
    better = [key for key in looks if all(_low(of, key, name) > 0 for name in POLICIES)]
    worse = [key for key in looks if any(_high(of, key, name) < 0 for name in POLICIES)]
    points = f"{of['points']:,}".replace(",", " ")
    told = f"{points} points, {100 * of['share_positive']:.1f} % positive on average. "
    if better:
        told += f"ENS finds more than each of the others with {_and(better)} looks. "
    if left := [key for key in looks if key not in better + worse]:
        told += f"With {_and(left)} looks the intervals do not tell it from the best of them. "
    if worse:
        told += f"With {_and(worse)} looks another finds more."
    return told.strip()


def _low(of: dict[str, Any], looks: str, name: str) -> float:
    return float(of[looks]["ens_less"][name].get("low", 0.0))


def _high(of: dict[str, Any], looks: str, name: str) -> float:
    return float(of[looks]["ens_less"][name].get("high", 0.0))


def _and(looks: list[str]) -> str:
    return ", ".join(f"`{key}`" for key in looks)


def _table(of: dict[str, Any]) -> list[str]:
    rows = ["| looks and rival | ENS | the rival | more | 95 % interval | p |", "| --- | --- | --- | --- | --- | --- |"]
    for looks in (key for key in of if key.isdigit()):
        for name, told in POLICIES.items():
            found, less = of[looks]["found"], of[looks]["ens_less"][name]
            ends = f"{less['low']:+.1f} to {less['high']:+.1f}" if "low" in less else "–"
            p = f"{less['p']:.4f}" if "p" in less else "–"
            rows.append(
                f"| {looks}, {told} | {found['ens']['mean']:.1f} | {found[name]['mean']:.1f} | {less['mean']:+.1f} | "
                f"{ends} | {p} |"
            )
    return rows


def _gap(gap: dict[str, Any]) -> list[str]:
    batches = list(next(iter(gap.values()), {}))
    names = [name.replace("_", " ").replace("ens", "ENS") for name in gap]
    rows = [f"| batch | {' | '.join(names)} |", f"|{' --- |' * (len(gap) + 1)}"]
    for batch in batches:
        cells = [f"{of[batch]['mean']:.1f}, {of[batch]['cpu_s']:.2f} s" for of in gap.values()]
        rows.append(f"| {batch} | {' | '.join(cells)} |")
    return rows


def _pruning(pruning: dict[str, Any]) -> list[str]:
    rows = ["| pool and looks | scored one by one | CPU seconds |", "| --- | --- | --- |"]
    for name, of in pruning.items():
        rows.append(f"| {name.replace('_', ' ')} | {100 * of['scored_one_by_one_share']:.2f} % | {of['cpu_s']:.2f} |")
    return rows
