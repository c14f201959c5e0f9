"""What the runs show: figures with intervals over seeds, paired differences, published directions that hold or fail."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import norm

from benchmarks.studies.architectures.plan import MEMBERS
from quality.metrics import evaluate, row_losses
from quality.seed_intervals import interval
from search.trials import Row
from training.foundation.progressive_log import ProgressiveLog

Floats = npt.NDArray[np.floating]
MEAN_OF_MEMBERS = "mean of " + " and ".join(MEMBERS)  # trained apart, their probabilities averaged
METRICS = ("ne", "auc", "gauc")


@dataclass(frozen=True)
class Direction:
    """A published claim: the AUC of `better` is above that of `worse` by more than `margin`."""

    better: str
    worse: str
    source: str
    margin: float = 0.0


_INTERFORMER, _WUKONG = "InterFormer (arXiv:2411.09852), table 3", "Wukong (arXiv:2403.02545), table 2"
_CETNET = "CETNet (arXiv:2411.13700), abstract; the margin is ours"
DIRECTIONS = (
    *(Direction("interformer", other, _INTERFORMER) for other in ("din", "dhen", "dcnv2", "wukong")),
    Direction("din", "dcnv2", _INTERFORMER),
    *(Direction("wukong", other, _WUKONG) for other in ("dcnv2", "dlrm")),
    *(Direction("cetnet", member, _CETNET, margin=0.0005) for member in MEMBERS),
    Direction("cetnet", MEAN_OF_MEMBERS, "our acceptance check of CETNet: no worse than 0.0002 below", margin=-0.0002),
)


@dataclass
class Model:
    """An architecture's runs on one log."""

    by_seed: dict[int, dict[str, float]]  # figures
    influences: dict[str, dict[int, Floats]]  # of each judged row on NE and on AUC, by metric and seed


def figures(
    rows: list[Row], predictions: Callable[[Row], Floats], logs: Mapping[str, ProgressiveLog]
) -> dict[str, Any]:
    """Computes everything the benchmark reports, by data set.

    Args:
        rows: the runs.
        predictions: gives a run's probabilities of the judged rows.
        logs: by data set.
    """
    return {name: _of_log([r for r in rows if r["data_set"] == name], predictions, log) for name, log in logs.items()}


def _of_log(rows: list[Row], predictions: Callable[[Row], Floats], log: ProgressiveLog) -> dict[str, Any]:
    models: dict[str, Model] = {}
    predicted: dict[tuple[str, int], Floats] = {}
    for row in rows:
        predicted[row["architecture"], row["seed"]] = predictions(row)
        models.setdefault(row["architecture"], Model({}, {"ne": {}, "auc": {}})).by_seed[row["seed"]] = row
    seeds = sorted(set.intersection(*({s for n, s in predicted if n == member} for member in MEMBERS)))
    if seeds:
        models[MEAN_OF_MEMBERS] = Model({}, {"ne": {}, "auc": {}})
    for seed in seeds:
        mean = np.mean([predicted[member, seed] for member in MEMBERS], axis=0)
        predicted[MEAN_OF_MEMBERS, seed] = mean
        models[MEAN_OF_MEMBERS].by_seed[seed] = evaluate(log.labels, mean, users=log.users).as_dict()
    for (name, seed), probabilities in predicted.items():
        models[name].influences["ne"][seed] = ne_influence(log.labels, probabilities)
        models[name].influences["auc"][seed] = auc_influence(log.labels, probabilities)
    alone = {name: model for name, model in models.items() if name != MEAN_OF_MEMBERS}
    order = sorted(alone, key=lambda name: np.mean([f["ne"] for f in alone[name].by_seed.values()]))
    results: dict[str, Any] = {
        "rows_learnt": rows[0]["rows_learnt"],
        "rows_judged": len(log.labels),
        "click_rate": round(float(log.labels.mean()), 4),
        "best_ne": order[0],
        "architectures": {name: _figures(models[name]) for name in [*order, *(models.keys() - alone.keys())]},
        "difference_to_best_other": {
            name: {"other": other} | {m: difference(models[name], models[other], m, log.users) for m in METRICS}
            for name, other in ((name, order[1] if name == order[0] else order[0]) for name in order if len(order) > 1)
        },
        "directions": [_checked(d, models, log.users) for d in DIRECTIONS if {d.better, d.worse} <= models.keys()],
    }
    if log.truth is not None:
        reachable = evaluate(log.labels, log.truth, users=log.users)
        results["best_reachable"] = {metric: round(getattr(reachable, metric), 4) for metric in METRICS}
    return results


def _figures(model: Model) -> dict[str, Any]:
    results: dict[str, Any] = {m: interval(f[m] for f in model.by_seed.values()) for m in (*METRICS, "calibration")}
    first = next(iter(model.by_seed.values()))
    if "seconds" in first:
        results |= {name: first[name] for name in ("dense_parameters", "flops_per_example")}
        results["seconds"] = float(np.median([f["seconds"] for f in model.by_seed.values()]))
    return results


def difference(one: Model, other: Model, metric: str, users: npt.NDArray[Any]) -> dict[str, float] | None:
    """Computes `one` minus `other` over the seeds that both have; None if there are none.

    low and high: 95 % over seeds, on these rows. users_low and users_high: 95 % over users, of these models.
    """
    seeds = sorted(one.by_seed.keys() & other.by_seed.keys())
    over_seeds = interval(one.by_seed[s][metric] - other.by_seed[s][metric] for s in seeds)
    if over_seeds is None or metric not in one.influences:
        return over_seeds
    influence = np.mean([one.influences[metric][s] - other.influences[metric][s] for s in seeds], axis=0)
    half = float(norm.ppf(0.975)) * standard_error_over_users(influence, users)
    return over_seeds | {
        "users_low": round(over_seeds["mean"] - half, 5),
        "users_high": round(over_seeds["mean"] + half, 5),
    }


def _checked(direction: Direction, models: dict[str, Model], users: npt.NDArray[Any]) -> dict[str, Any]:
    better, worse = models[direction.better], models[direction.worse]
    auc, ne = (difference(better, worse, metric, users) for metric in ("auc", "ne"))
    return {
        "claim": f"{direction.better} above {direction.worse}",
        "source": direction.source,
        "margin_auc": direction.margin,
        "auc": auc,
        "ne": ne,
        "by_auc": outcome(auc, margin=direction.margin),
        "by_ne": outcome({name: -value for name, value in ne.items()} if ne else None),
    }


def outcome(measured: Mapping[str, float] | None, *, margin: float = 0.0) -> str:
    """Says whether a difference is above a margin, by its interval over seeds and by that over users."""
    if measured is None or "low" not in measured:
        return "one seed"
    bounds = [measured[name] - margin for name in ("low", "high", "users_low", "users_high")]
    if min(bounds) > 0:
        return "holds"
    return "fails" if max(bounds) < 0 else "not separated"


def ne_influence(labels: Floats, probabilities: Floats) -> Floats:
    """Computes what each row adds to NE, (n,); the sum is NE."""
    rate = float(np.mean(labels))
    entropy = -(rate * np.log(rate) + (1 - rate) * np.log(1 - rate))
    return row_losses(labels, probabilities) / (entropy * len(labels))


def auc_influence(labels: Floats, probabilities: Floats) -> Floats:
    """Computes what each row adds to AUC about its mean, (n,); they sum to 0, and their variance is DeLong's (1988)."""
    order = np.argsort(probabilities, kind="stable")
    ordered, positive = probabilities[order], labels[order] > 0
    first, last = (np.searchsorted(ordered, ordered, side=side) for side in ("left", "right"))
    influence = np.empty(len(labels))
    for mask in (positive, ~positive):
        others = np.concatenate([[0], np.cumsum(~mask)])
        below = (others[first] + others[last])[mask] / (2 * others[-1])  # share of the other class below; ties half
        share = below if mask is positive else 1 - below
        influence[order[mask]] = (share - share.mean()) / mask.sum()
    return influence


def standard_error_over_users(influence: Floats, users: npt.NDArray[Any]) -> float:
    """Computes the standard error of a sum over rows when another sample would have other users."""
    sums = np.bincount(np.unique(users, return_inverse=True)[1], influence)
    return float(np.sqrt(len(sums)) * sums.std(ddof=1))
