"""docs/results/search.md: the tables of the study, from its kept result file."""

import json
from typing import Any

from benchmarks.report import RESULTS
from config import ROOT

PAGE = ROOT / "docs" / "results" / "search.md"
KEPT = RESULTS / "search_tabular.json"
METHODS = {
    "random": "random",
    "evolution": "regularized evolution",
    "tpe": "TPE, multivariate",
    "tpe_univariate": "TPE, univariate",
    "predictor_top_k": "predictor, plain top-k",
    "predictor": "predictor, REINFORCE",
}
PREDICTORS = {
    "ten_ranking": "ten nets, ranking loss (what `search/` has)",
    "one_ranking": "one net, ranking loss",
    "ten_mse": "ten nets, squared error of the objective",
    "one_mse": "one net, squared error of the objective",
    "one_mse_on_ranks": "one net, squared error of the ranks",
}
LITTLE = 0.02  # of Kendall's τ
SHARES = {"top_02pct": "`0.2 %`", "top_002pct": "`0.02 %`"}
DIFFERENCES = {
    "predictor_less_predictor_top_k": "REINFORCE less plain top-k",
    "predictor_less_tpe_best": "REINFORCE less the better TPE",
    "predictor_top_k_less_tpe_best": "plain top-k less the better TPE",
    "predictor_less_evolution": "REINFORCE less evolution",
    "predictor_top_k_less_evolution": "plain top-k less evolution",
}
INTRODUCTION = """# Search: results

Written by `python -m benchmarks.studies.search_tabular` from the result file that the comments name.

The samplers of `search/samplers/` on tables in which every combination was trained already: NAS-Bench-201 on ImageNet,
HPOLib on protein structure, NAS-Bench-Graph on arxiv. A search has `100` trials. It sees one training of a combination,
drawn by its seed; what it tried is ranked by the mean over all trainings of the table. The predictors ask for `30` at
random, then seven times for ten; the others for one at a time. Nothing was tuned on these tables.
"""


def write_page() -> None:
    """Writes the page anew."""
    PAGE.write_text(page(json.loads(KEPT.read_text())["figures"]))


def page(figures: dict[str, Any]) -> str:
    """Returns the page's text."""
    parts = [INTRODUCTION, "## What 100 trials find\n", _verdict(figures), _shares(figures), _differences(figures)]
    parts += ["![Best rank against trials, by method and table](../images/search_tabular.svg)\n"]
    parts += [f"### {name}\n\n{_table(of)}" for name, of in figures["tables"].items()]
    parts += ["## How well the networks rank\n", _ranking(figures)]
    return "\n".join(parts)


def outcome(difference: dict[str, float]) -> str:
    """Says whether the interval lies above 0, below, or on both sides."""
    if difference["low"] > 0:
        return "more"
    return "less" if difference["high"] < 0 else "no difference that the intervals could tell"


def _verdict(figures: dict[str, Any]) -> str:
    """Answers first whether REINFORCE adds anything."""
    found = outcome(figures["differences"]["top_002pct"]["predictor_less_predictor_top_k"])
    if found == "more":
        told = "REINFORCE over the predictor finds one of the best more often than looking at all combinations does."
    else:
        told = (
            "**That REINFORCE adds anything to the plain top-k is not shown.** The top-k looks at all combinations, or "
            f"at many of them, and takes what the same networks like best. On the best `0.02 %`: {found}."
        )
    return f"{told}\n"


def _shares(figures: dict[str, Any]) -> str:
    rows = [
        [METHODS[name], *(_share(of[share]) for share in SHARES), f"{of['repeated']:.1f}", f"{of['cpu_seconds']:.1f}"]
        for name, of in figures["all_tables"].items()
    ]
    heads = ["over all tables", *(f"tried one of the best {share}" for share in SHARES.values())]
    told = """
Shares of searches, with 95 % Wilson intervals. Repetitions are trials before which the method had first said what was
asked already, or what the table lacks.
"""
    return _rows([*heads, "repetitions", "CPU-seconds a search"], rows) + told + _from("all_tables", 1, 100)


def _differences(figures: dict[str, Any]) -> str:
    rows = [
        [title, *(_difference(figures["differences"][share].get(name)) for share in SHARES)]
        for name, title in DIFFERENCES.items()
    ]
    return _rows(["difference, percentage points", *SHARES.values()], rows) + _from("differences", 100)


def _table(of: dict[str, Any]) -> str:
    rows = []
    for name, found in of["methods"].items():
        best = found["best_rank"]
        ranks = f"{best['median']:.0f} ({best['lower_quartile']:.0f} to {best['upper_quartile']:.0f})"
        shares = [f"{100 * found[share]['share']:.0f} %" for share in SHARES]
        rows.append([METHODS[name], ranks, f"{found['chosen_rank_median']:.0f}", *shares])
    heads = [f"of {of['combinations']}", "best rank tried (quartiles)", "rank of the one that looked best"]
    return _rows([*heads, *SHARES.values()], rows) + _from("tables", 1, 100)


def _ranking(figures: dict[str, Any]) -> str:
    tables = figures["tables"]
    rows = []
    for name, title in PREDICTORS.items():
        taus = [_tau(of["tau"].get(name)) for of in tables.values()]
        compared = figures["tau_differences"].get(f"ten_ranking_less_{name}", {}).get("all_tables")
        rows.append([title, *taus, _interval(compared)])
    told = "Kendall's τ with the mean objective of all rows but the `160` that were learnt.\n\n"
    on_ranks = figures["tau_differences"].get("ten_ranking_less_one_mse_on_ranks", {}).get("all_tables")
    if on_ranks and on_ranks["high"] < LITTLE:
        told += "What helps is to learn ranks in place of the objective; ten nets and the ranking loss add little.\n\n"
    return told + _rows(["", *tables, "ten ranking nets less these"], rows) + _from("", 1)


def _interval(found: dict[str, float] | None) -> str:
    return f"{found['mean']:+.3f} ({found['low']:+.3f} to {found['high']:+.3f})" if found else ""


def _tau(found: dict[str, float] | None) -> str:
    return f"{found['mean']:.3f}" if found else ""


def _share(found: dict[str, float]) -> str:
    return f"{100 * found['share']:.0f} % ({100 * found['low']:.0f} to {100 * found['high']:.0f})"


def _difference(found: dict[str, float] | None) -> str:
    if not found:
        return ""
    return f"{100 * found['mean']:+.0f} ({100 * found['low']:+.0f} to {100 * found['high']:+.0f})"


def _rows(heads: list[str], rows: list[list[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _from(at: str, *scales: int) -> str:
    """Writes the comment that names where figures are; tests/docs/test_figures.py reads it."""
    part = f"#{at}" if at else ""
    return f"\n<!-- figures: {KEPT.name}{part} scale {' '.join(map(str, scales))} -->\n"
