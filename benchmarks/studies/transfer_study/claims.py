"""What LoopFM + KD is worth beside the best rival that was measured, in every cell (data set and features of the VMs).

    python -m benchmarks.studies.transfer_study.claims

It reads the kept result files and trains nothing. A rival is the best of what was measured of its kind, untuned and
tuned, by its gain on the reported days; so the choice favours the rival. Where the rival is tuned, LoopFM + KD has the
same tuned distillation; else it has the one that ships.
"""

import json
from typing import Any

from benchmarks.report import RESULTS, report

Figures = dict[str, Any]
GOALS = {"ratio_over_best_kd": 2.0, "ratio_over_best_raw_kd": 1.5}
# By claim: each rival's gain, and the ratio to it where the study keeps one.
RIVALS: dict[str, dict[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "ratio_over_best_kd": {
        "untuned, auxiliary head": (("gain_over_none", "dnn", "ah"), ("loopfm_ah_over_ah",)),
        "untuned, serving head": (("gain_over_none", "dnn", "kd"), ("loopfm_ah_over_kd",)),
        "tuned": (("tuned", "kd"), ("tuned", "loopfm_over_kd")),
    },
    "ratio_over_best_raw_kd": {
        "untuned": (("gain_over_none", "dnn", "raw_ah"), ("loopfm_ah_over_raw_ah",)),
        "tuned": (("tuned", "raw_kd"), ("tuned", "loopfm_over_raw")),
    },
}
LOOPFM_KD = ("gain_over_none", "dnn", "loopfm_ah")


def claims(figures: Figures) -> Figures:
    """Returns each ratio to the best rival of its kind, with its interval, the rival, and whether the goal is met.

    Args:
        figures: a study's figures of one choice of features, as `results.figures` makes them.
    """
    told: Figures = {}
    for claim, rivals in RIVALS.items():
        gained = {name: at(figures, gain)["mean"] for name, (gain, _) in rivals.items() if at(figures, gain)}
        if not gained or max(gained.values()) <= 0 or not at(figures, LOOPFM_KD):
            continue
        best = max(gained, key=lambda name: gained[name])
        gain, ratio = rivals[best]
        value = at(figures, ratio) or _from_corners(at(figures, LOOPFM_KD), at(figures, gain))
        told[claim] = value | {"rival": best, "goal": outcome(value, GOALS[claim])}
    return told


def outcome(ratio: Figures, goal: float) -> str:
    """Returns `met` where the whole interval reaches the goal, `missed` where the mean does not, else `open`."""
    if ratio["mean"] < goal:
        return "missed"
    return "met" if ratio.get("low", float("-inf")) >= goal else "open"


def at(figures: Figures, path: tuple[str, ...]) -> Any:
    """Returns what stands at a path; None where there is nothing."""
    value: Any = figures
    for key in path:
        value = (value or {}).get(key)
    return value


def claims_of_all_data_sets() -> Figures:
    """Returns the claims by data set and features, from the kept result files."""
    told: Figures = {}
    for path in sorted(RESULTS.glob("transfer_study_*.json")):
        found = json.loads(path.read_text())["figures"]
        cells = {"shipped": found} | ({"lean": found["lean"]} if "lean" in found else {})
        told[path.stem.removeprefix("transfer_study_")] = {
            cell: claims(cell_figures) for cell, cell_figures in cells.items()
        }
    return told


def write_claims() -> None:
    """Writes benchmarks/results/transfer_claims.json from the result files of all data sets."""
    command = "python -m benchmarks.studies.transfer_study.claims"
    report("transfer_claims", claims_of_all_data_sets(), command=command, packages=[], keep=True)


def _from_corners(numerator: Figures, denominator: Figures) -> Figures:
    """Divides two means; the interval spans all that their two intervals allow, so at least 90 % of the cases."""
    value = {"mean": numerator["mean"] / denominator["mean"], "seeds": min(numerator["seeds"], denominator["seeds"])}
    if "low" in numerator and denominator.get("low", 0) > 0:
        value |= {"low": numerator["low"] / denominator["high"], "high": numerator["high"] / denominator["low"]}
    return {name: round(figure, 3) for name, figure in value.items()}


if __name__ == "__main__":
    write_claims()
