"""docs/transfer_results.md: the tables of every data set that was studied, from the kept result files."""

import json
from collections.abc import Iterable
from typing import Any

from benchmarks.report import RESULTS
from benchmarks.studies.transfer_study.plan import DATA_SETS
from config import ROOT

PAGE = ROOT / "docs" / "transfer_results.md"
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
RATIOS = {
    "LoopFM + KD over best tuned KD": ("tuned", "loopfm_over_kd"),
    "LoopFM + KD over AH": ("loopfm_ah_over_ah",),
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
INTRODUCTION = """Written by `python -m benchmarks.studies.transfer_study`; what it means is in
[transfer.md](transfer.md). Gains are NE of the vertical model without the FM minus NE with, times 1000, on days that no
model had learnt; in brackets 95 % intervals over seeds. *Shipped*: VMs with the features that the platform ships;
*lean*: without window counts of clicks and impressions, which the FM has.
"""
OVERVIEW = {  # of RATIOS: heading
    "LoopFM + KD over best tuned KD": "over best tuned KD",
    "LoopFM + KD over raw history + KD": "over raw history + KD, mean of verticals",
    "LoopFM + KD over raw history + KD, by impressions": "the same, by impressions",
    "headroom ratio of LoopFM + AH": "headroom ratio",
}
HEADINGS = {"ne": "NE", "auc": "AUC", "gauc": "gAUC"}
PARTS = {"temporal": "temporal", "cross_feature": "+ cross-feature", "residual": "- residual", "loopfm": "= LoopFM"}


def write_page() -> None:
    """Writes the page anew."""
    parts = [
        "# Transfer study: results\n",
        INTRODUCTION,
    ]
    kept = {data_set: RESULTS / f"transfer_study_{data_set}.json" for data_set in DATA_SETS}
    results = {data_set: json.loads(path.read_text()) for data_set, path in kept.items() if path.exists()}
    parts.append(_overview(results))
    for data_set, result in results.items():
        parts += _data_set(data_set, result)
    PAGE.write_text("\n".join(parts))


def _overview(results: dict[str, dict[str, Any]]) -> str:
    """The ratios a reader asks for first, of all data sets."""
    rows = []
    for data_set, result in results.items():
        found = result["figures"]
        for title, of in (("shipped", found), ("lean", found.get("lean"))):
            if of:
                rows.append([f"`{data_set}`, {title}", *(_ratio(_at(of, RATIOS[what])) for what in OVERVIEW)])
    return _table(["LoopFM + KD", *OVERVIEW.values()], rows)


def _data_set(name: str, result: dict[str, Any]) -> Iterable[str]:
    found = result["figures"]
    columns = [("shipped", found)] + ([("lean", found["lean"])] if "lean" in found else [])
    yield f"## {name}\n"
    yield f"{ABOUT.get(name, '')} `{result['command']}`\n"
    yield f"![Gains of the ways from FM to VM]({'images/transfer_study_' + name + '.svg'})\n"
    yield "NE gained, mean over verticals and by impressions:\n"
    heads = [f"{title}, {how}" for title, _ in columns for how in ("verticals", "impressions")]
    rows = []
    for arm, what in ARMS.items():
        cells = []
        for _, of in columns:
            cells += [_gain(of["gain_over_none"]["dnn"].get(arm)), _gain(of["gain_over_none_by_impressions"].get(arm))]
        rows.append([what, *cells])
    yield _table(["what the VM gets", *heads], rows[1:])
    yield "Ratios of gains:\n"
    rows = [[what, *(_ratio(_at(of, path)) for _, of in columns)] for what, path in RATIOS.items()]
    yield _table(["ratio", *(title for title, _ in columns)], rows)
    said = dict.fromkeys(direction for _, of in columns for direction in of.get("directions", {}))
    if said:
        yield "Directions, published or wished for:\n"
        rows = [[direction, *(of.get("directions", {}).get(direction, "") for _, of in columns)] for direction in said]
        yield _table(["direction", *(title for title, _ in columns)], rows)
    for title, key, names in (
        ("Parts of LoopFM's gain (theorem 1)", "parts", PARTS),
        ("LoopFM + AH with another history in its place", "controls", None),
    ):
        rows = _rows(columns, key, names)
        if rows:
            yield f"{title}:\n"
            yield _table(["", *(t for t, _ in columns)], rows)
    yield from _shipped_only(found)
    yield from _by_vertical(found["by_vertical"])


def _by_vertical(found: dict[str, Any]) -> Iterable[str]:
    shown = ("none", "ah", "raw_ah", "loopfm", "loopfm_ah", "fm", "fm_frozen", "truth")
    for metric, models in (("ne", shown), ("auc", shown[:5]), ("gauc", shown[:5])):
        yield f"{HEADINGS[metric]} by vertical, shipped, mean over seeds:\n"
        rows = [
            [vertical, str(of.get("rows", "")), *(_figure(of.get(model), metric) for model in models)]
            for vertical, of in found.items()
        ]
        yield _table(["vertical", "rows judged", *models], rows)


def _shipped_only(found: dict[str, Any]) -> Iterable[str]:
    kinds = {kind: arms for kind, arms in found["gain_over_none"].items() if len(arms) > 1}
    if len(kinds) > 1:
        yield "Kinds of VM, each against its own kind without the FM:\n"
        shown = ("ah", "raw_ah", "loopfm_ah")
        yield _table(["VM", *shown], [[kind, *(_gain(arms.get(arm)) for arm in shown)] for kind, arms in kinds.items()])
    if any(age in found.get("stale", {}) for age in ("1", "3", "frozen")):
        yield "Age of the FM that gives soft labels, days (frozen: it never learns the VM's days, 0 to 7):\n"
        shown = ("ah", "ah_sa", "loopfm_ah")
        yield _table(["age", *shown], [[a, *(_gain(of.get(arm)) for arm in shown)] for a, of in found["stale"].items()])
    sizes = {size: found["fm_size"][size] for size in ("small", "medium", "large") if size in found.get("fm_size", {})}
    if len(sizes) > 1:
        yield "Size of the FM:\n"
        gains = ("fm_gain", "ah", "loopfm", "loopfm_ah")
        yield _table(["FM", *gains], [[size, *(_gain(of.get(arm)) for arm in gains)] for size, of in sizes.items()])
    if found.get("sweeps"):
        yield "One setting changed (LoopFM + AH, or raw history + AH where said):\n"
        rows = [[name, value, _gain(gain)] for name, of in found["sweeps"].items() for value, gain in of.items()]
        yield _table(["setting", "value", "gain"], rows)


def _rows(columns: list[tuple[str, Any]], key: str, names: dict[str, str] | None) -> list[list[str]]:
    keys = names or {name: name.replace("_", " ") for _, of in columns for name in of.get(key, {})}
    rows = [[what, *(_gain(of.get(key, {}).get(name)) for _, of in columns)] for name, what in keys.items()]
    return rows if all(any(cell for cell in row[1:]) for row in rows) else []


def _at(found: dict[str, Any], path: tuple[str, ...]) -> Any:
    value: Any = found
    for key in path:
        value = (value or {}).get(key)
    return value


def _gain(found: dict[str, float] | None) -> str:
    return _shown(found, 1000, ".1f")


def _ratio(found: dict[str, float] | None) -> str:
    return _shown(found, 1, ".2f")


def _figure(found: dict[str, Any] | None, metric: str) -> str:
    return f"{found[metric]['mean']:.4f}" if found and found.get(metric) else ""


def _shown(found: dict[str, float] | None, factor: float, form: str) -> str:
    if not found:
        return ""
    text = format(factor * found["mean"], form)
    if "low" in found:
        text += f" ({factor * found['low']:{form}} to {factor * found['high']:{form}})"
    return text if found["seeds"] > 1 else f"{text} (one seed)"


def _table(heads: list[str], rows: list[list[str]]) -> str:
    """Rows of which a cell is filled."""
    lines = [heads, ["---"] * len(heads), *(row for row in rows if any(row[1:]))]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"
