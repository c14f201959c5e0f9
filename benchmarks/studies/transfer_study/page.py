"""docs/results/transfer.md: the tables of every data set that was studied, from the kept result files."""

import json
from collections.abc import Iterable
from typing import Any

from benchmarks.report import RESULTS
from benchmarks.studies.transfer_study.claims import at, claims
from benchmarks.studies.transfer_study.plan import DATA_SETS
from config import ROOT

PAGE = ROOT / "docs" / "results" / "transfer.md"
ABOUT = {
    "kuairand": "Real impressions and clicks (KuaiRand-Pure, 25 April to 8 May 2022).",
    "complete_journey": "Simulated from real shopping patterns by its publisher, 84.51°.",
    "movielens": "Real ratings of real people, replayed.",
    "synthetic": "Generated; the best reachable NE is known.",
}
ARMS = {
    "none": "nothing from the FM",
    "kd": "KD on the serving head",
    "ah": "KD on an auxiliary head (AH)",
    "ah_sa": "AH + student adapter (SA)",
    "items": "history: item, label, age",
    "raw": "raw history: and the item's features",
    "raw_ah": "raw history + AH",
    "soft_history": "history: item, label, age, soft label",
    "codes": "history: label, age, code",
    "loopfm": "LoopFM: item, label, age, code",
    "loopfm_ah": "LoopFM + AH",
    "loopfm_ah_sa": "LoopFM + AH + SA",
    "both": "raw history and code",
    "both_ah": "raw history and code, AH",
}
TUNED = {
    "kd": "KD, tuned",
    "raw_kd": "raw history + KD, tuned",
    "loopfm_kd": "LoopFM + KD, tuned",
}
RATIOS = {
    "LoopFM + KD over KD, both tuned": ("tuned", "loopfm_over_kd"),
    "LoopFM + KD over raw history + KD, both tuned": ("tuned", "loopfm_over_raw"),
    "LoopFM + KD over AH": ("loopfm_ah_over_ah",),
    "LoopFM + KD over KD on the serving head": ("loopfm_ah_over_kd",),
    "LoopFM + KD over raw history + KD": ("loopfm_ah_over_raw_ah",),
    "the same, no more bytes a slot": ("loopfm_ah_over_raw_ah_equal_bytes",),
    "LoopFM + KD over AH, by impressions": ("loopfm_ah_over_ah_by_impressions",),
    "LoopFM + KD over raw history + KD, by impressions": ("loopfm_ah_over_raw_ah_by_impressions",),
    "the same, no more bytes a slot, by impressions": ("loopfm_ah_over_raw_ah_equal_bytes_by_impressions",),
    "headroom ratio of AH": ("headroom_ratio", "ah"),
    "headroom ratio of raw history + AH": ("headroom_ratio", "raw_ah"),
    "headroom ratio of LoopFM + AH": ("headroom_ratio", "loopfm_ah"),
    "transfer ratio of AH, small to large FM": ("fm_size", "transfer_ratio_small_to_large", "ah"),
    "transfer ratio of LoopFM + AH, small to large FM": ("fm_size", "transfer_ratio_small_to_large", "loopfm_ah"),
}
INTRODUCTION = """Written by `python -m benchmarks.studies.transfer_study --data-set NAME` from the result files that
the comments under the tables name; what it means is in [transfer.md](../transfer.md). Gains are NE of the vertical
model without the FM minus NE with, times 1000, on days that no model had learnt; in brackets 95 % intervals over seeds.
*Shipped*: VMs with the features that the platform ships; *lean*: without window counts of clicks and impressions, which
the FM has. *Tuned*: with the best of 20 distillation settings, chosen for each vertical by one seed on the last day
before the judged ones.

## The two goals

LoopFM + KD should gain at least twice what the best KD gains, and one and a half times what a raw history of the same
impressions gains with the best KD. The best rival is the better of untuned and tuned, by its gain **on the reported
days**, which favours the rival: a search judged by one seed on one day often found settings that are worse than the
untuned ones. A tuned rival is compared with LoopFM + KD tuned alike. *Met*: the whole interval reaches the goal;
*missed*: the mean does not; *open*: the mean does, the interval does not. `synthetic` was not searched, so its rivals
are untuned.
"""
DIRECTIONS_TOLD = """\
Directions, published or wished for, by the interval of a difference. KD in them is the untuned auxiliary head, and
the rival of a row is the one it names. Whether the two goals are reached, the ratios above say, whose rival is the
better of several:
"""
BEST_KD, BEST_RAW_KD = "ratio_over_best_kd", "ratio_over_best_raw_kd"
OUTCOMES = {"met": "met", "missed": "**missed**", "open": "open"}
RIVAL_TOLD = """A tuned ratio is of the seeds that have tuned runs: three on `complete_journey`, else five. The interval
of `movielens`, lean, over KD spans all that the intervals of the two gains allow, as no ratio to the untuned serving
head was kept. A raw history that holds the FM's soft label in each slot, with KD, is the rival that is still missing;
without KD it is in the tables below.
"""
COLD_TOLD = "LogLoss of the VM without the FM minus LogLoss with LoopFM + AH, times 1000; negative is worse.\n"
HEADINGS = {"ne": "NE", "auc": "AUC", "gauc": "gAUC"}
PARTS = {"temporal": "temporal", "cross_feature": "+ cross-feature", "residual": "- residual", "loopfm": "= LoopFM"}


def write_page() -> None:
    """Writes the page anew."""
    PAGE.write_text(page())


def page() -> str:
    """Returns the page's text, of all data sets that have a result file."""
    kept = {data_set: RESULTS / f"transfer_study_{data_set}.json" for data_set in DATA_SETS}
    results = {data_set: json.loads(path.read_text()) for data_set, path in kept.items() if path.exists()}
    parts = ["# Transfer study: results\n", INTRODUCTION, _overview(results), RIVAL_TOLD]
    parts += ["Beside them, untuned:\n", _untuned(results), "## Users without history\n", COLD_TOLD, _cold(results)]
    for data_set, result in results.items():
        parts += _data_set(data_set, result)
    return "\n".join(parts)


def _cells(results: dict[str, dict[str, Any]]) -> Iterable[tuple[str, dict[str, Any]]]:
    """Yields the figures of each data set and choice of features, with their name in a table."""
    for data_set, result in results.items():
        figures = result["figures"]
        yield f"`{data_set}`, shipped", figures
        if "lean" in figures:
            yield f"`{data_set}`, lean", figures["lean"]


def _overview(results: dict[str, dict[str, Any]]) -> str:
    """Writes the table of the ratios to the best rivals, and whether they reach the goals."""
    rows = []
    for title, figures in _cells(results):
        row, told = [title], claims(figures)
        for claim in (BEST_KD, BEST_RAW_KD):
            ratio = told.get(claim)
            row += [_ratio(ratio), ratio["rival"], OUTCOMES[ratio["goal"]]] if ratio else ["", "", ""]
        rows.append(row)
    heads = ["over the best KD", "which is", "goal: 2", "over the best raw history + KD", "which is", "goal: 1.5"]
    return _table(["LoopFM + KD", *heads], rows) + _from(["transfer_claims.json"])


def _untuned(results: dict[str, dict[str, Any]]) -> str:
    names = {"loopfm_ah_over_raw_ah_by_impressions": "over raw history + KD, by impressions"}
    names |= {"loopfm_ah_over_raw_ah_equal_bytes": "over raw history + KD, no more bytes a slot"}
    rows = [
        [title, *(_ratio(at(figures, (name,))) for name in names), _ratio(at(figures, ("headroom_ratio", "loopfm_ah")))]
        for title, figures in _cells(results)
    ]
    return _table(["LoopFM + KD", *names.values(), "headroom ratio"], rows) + _from(map(_file, results))


def _cold(results: dict[str, dict[str, Any]]) -> str:
    rows = []
    for title, figures in _cells(results):
        cold = figures.get("cold_users", {})
        share = f"{100 * cold['share_of_rows']:.1f} %" if "share_of_rows" in cold else ""
        rows.append([title, share, _gain(cold.get("gain_log_loss")), _gain(cold.get("warm_gain_log_loss"))])
    heads = ["share of rows", "gain of users without history", "gain of the others"]
    return _table(["LoopFM + AH", *heads], [r for r in rows if r[2]]) + _from(map(_file, results), 1000)


def _file(data_set: str, at: str = "") -> str:
    return f"transfer_study_{data_set}.json" + (f"#{at}" if at else "")


def _from(files: Iterable[str], *scales: int) -> str:
    """Writes the comment that names where a table's figures are; tests/docs/test_figures.py reads it."""
    scale = f" scale {' '.join(map(str, scales))}" if scales else ""
    return f"\n<!-- figures: {' '.join(files)}{scale} -->\n"


def _data_set(name: str, result: dict[str, Any]) -> Iterable[str]:
    found, source = result["figures"], _from([_file(name)])
    gains = _from([_file(name)], 1000)
    columns = [("shipped", found)] + ([("lean", found["lean"])] if "lean" in found else [])
    yield f"## {name}\n"
    yield f"{ABOUT.get(name, '')}\n"
    yield f"![Gains of the ways from FM to VM](../images/transfer_study_{name}.svg)\n"
    yield "NE gained, mean over verticals and by impressions:\n"
    heads = [f"{title}, {how}" for title, _ in columns for how in ("verticals", "impressions")]
    rows = []
    for arm, what in ARMS.items():
        cells = []
        for _, figures in columns:
            cells += [
                _gain(figures["gain_over_none"]["dnn"].get(arm)),
                _gain(figures["gain_over_none_by_impressions"].get(arm)),
            ]
        rows.append([what, *cells])
    for key, what in TUNED.items():
        row = [what]
        for _, figures in columns:
            row += [_gain(at(figures, ("tuned", key))), ""]
        rows.append(row)
    yield _table(["what the VM gets", *heads], rows[1:]) + gains
    yield "Ratios of gains:\n"
    rows = [[what, *(_ratio(at(figures, path)) for _, figures in columns)] for what, path in RATIOS.items()]
    yield _table(["ratio", *(title for title, _ in columns)], rows) + source
    said = dict.fromkeys(direction for _, figures in columns for direction in figures.get("directions", {}))
    if said:
        yield DIRECTIONS_TOLD
        rows = [
            [direction, *(figures.get("directions", {}).get(direction, "") for _, figures in columns)]
            for direction in said
        ]
        yield _table(["direction", *(title for title, _ in columns)], rows)
    for title, key, names in (
        ("Parts of LoopFM's gain (theorem 1)", "parts", PARTS),
        ("LoopFM + AH with another history in its place", "controls", None),
    ):
        rows = _rows(columns, key, names)
        if rows:
            yield f"{title}:\n"
            yield _table(["", *(t for t, _ in columns)], rows) + gains
    yield from _shipped_only(found, gains)
    yield from _by_vertical(found["by_vertical"], source)


def _by_vertical(found: dict[str, Any], source: str) -> Iterable[str]:
    shown = ("none", "ah", "raw_ah", "loopfm", "loopfm_ah", "fm", "fm_frozen", "truth")
    for metric, models in (("ne", shown), ("auc", shown[:5]), ("gauc", shown[:5])):
        yield f"{HEADINGS[metric]} by vertical, shipped, mean over seeds:\n"
        rows = [
            [vertical, str(by_model.get("rows", "")), *(_figure(by_model.get(model), metric) for model in models)]
            for vertical, by_model in found.items()
        ]
        yield _table(["vertical", "rows judged", *models], rows) + source


def _shipped_only(found: dict[str, Any], source: str) -> Iterable[str]:
    kinds = {kind: arms for kind, arms in found["gain_over_none"].items() if len(arms) > 1}
    if len(kinds) > 1:
        yield "Kinds of VM, each against its own kind without the FM:\n"
        shown = ("ah", "raw_ah", "loopfm_ah")
        rows = [[kind, *(_gain(arms.get(arm)) for arm in shown)] for kind, arms in kinds.items()]
        yield _table(["VM", *shown], rows) + source
    if any(age in found.get("stale", {}) for age in ("1", "3", "frozen")):
        yield "Age of the FM that gives soft labels, days (frozen: it never learns the VM's days, 0 to 7):\n"
        shown = ("ah", "ah_sa", "loopfm_ah")
        rows = [[age, *(_gain(by_arm.get(arm)) for arm in shown)] for age, by_arm in found["stale"].items()]
        yield _table(["age", *shown], rows) + source
    sizes = {size: found["fm_size"][size] for size in ("small", "medium", "large") if size in found.get("fm_size", {})}
    if len(sizes) > 1:
        yield "Size of the FM:\n"
        gains = ("fm_gain", "ah", "loopfm", "loopfm_ah")
        rows = [[size, *(_gain(by_arm.get(arm)) for arm in gains)] for size, by_arm in sizes.items()]
        yield _table(["FM", *gains], rows) + source
    if found.get("sweeps"):
        yield "One setting changed (LoopFM + AH, or raw history + AH where said):\n"
        rows = [
            [f"{name}: {value}", _gain(gain)]
            for name, by_arm in found["sweeps"].items()
            for value, gain in by_arm.items()
        ]
        yield _table(["setting", "gain"], rows) + source


def _rows(columns: list[tuple[str, Any]], key: str, names: dict[str, str] | None) -> list[list[str]]:
    keys = names or {name: name.replace("_", " ") for _, figures in columns for name in figures.get(key, {})}
    rows = [[what, *(_gain(figures.get(key, {}).get(name)) for _, figures in columns)] for name, what in keys.items()]
    return rows if all(any(cell for cell in row[1:]) for row in rows) else []


def _gain(measured: dict[str, float] | None) -> str:
    return _shown(measured, 1000, ".1f")


def _ratio(measured: dict[str, float] | None) -> str:
    return _shown(measured, 1, ".2f")


def _figure(measured: dict[str, Any] | None, metric: str) -> str:
    return f"{measured[metric]['mean']:.4f}" if measured and measured.get(metric) else ""


def _shown(measured: dict[str, float] | None, factor: float, form: str) -> str:
    if not measured:
        return ""
    text = format(factor * measured["mean"], form)
    if "low" in measured:
        text += f" ({factor * measured['low']:{form}} to {factor * measured['high']:{form}})"
    return text if measured["seeds"] > 1 else f"{text} (one seed)"


def _table(heads: list[str], rows: list[list[str]]) -> str:
    """Writes a table of the rows that have a filled cell."""
    lines = [heads, ["---"] * len(heads), *(row for row in rows if any(row[1:]))]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"
