"""Search by days side by side against one after another, and what the found models cost: DistDNAS (arXiv:2311.00231).

    python -m benchmarks.studies.dist_dnas --kuairand ~/KuaiRand-Pure/data

A search learns each of four days with a supernet of its own, and the days' mean probabilities decide which operations
stay. The control is one search over the same days one after another. What each finds is trained as an ordinary trial
over the whole log, as is the densest model of the space: with every weight λ of the costs, and with every seed.

Times are the process's own CPU seconds, as the machine may be shared; what two or four workers would take follows from
them. The FLOPs spent are the same either way.
"""

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from sklearn.metrics import cohen_kappa_score

from benchmarks.report import report
from benchmarks.studies.command_line import study_parser
from benchmarks.studies.ranking_table import train
from benchmarks.studies.supernet_log import StudyLog, study_log
from quality.seed_intervals import interval
from search.choices import Value
from search.supernet.dist_dnas import KEEP, DistDNAS, agreement, reduce
from search.supernet.gates import modules
from search.supernet.options import Options
from search.trials import Row, execute, finished

COST_WEIGHTS = (0.0, 0.003, 0.01, 0.03, 0.1)
COMPARED = 0.01  # the weight with which the searches are compared
DAYS = 4  # the newest that no model is judged on
CHOICE_RATE = 0.05  # a day has some 150 steps
DENSEST = "densest"
PUBLISHED_CUT = 0.6  # of FLOPs, by the abstract
TOLERANCE = 0.001  # of NE, relative: a model no worse than that counts as equal


@dataclass(frozen=True)
class Run:
    """A search of one day or of all, or a trained model."""

    kind: str  # day, sequence, model, densest
    cost_weight: float
    seed: int
    day: int = -1  # of the days, where the kind is day

    @property
    def key(self) -> dict[str, object]:
        """Returns what names the run in the file of results."""
        return {"kind": self.kind, "cost_weight": self.cost_weight, "seed": self.seed, "day": self.day}


def main() -> None:
    """Makes the runs that are missing, then reports what there is."""
    parser = study_parser(__doc__, seeds=5, quick="two weights on a small log; figures are not kept", kuairand=True)
    a = parser.parse_args()
    logging.basicConfig(level=logging.ERROR)
    torch.set_num_threads(1)
    work = a.work / ("dist_dnas_quick" if a.quick else "dist_dnas")
    work.mkdir(parents=True, exist_ok=True)
    log = study_log(a.work, kuairand=a.kuairand, quick=a.quick)
    study = Study(log, days=2 if a.quick else DAYS)
    weights = (0.0, COMPARED) if a.quick else COST_WEIGHTS
    planned = list(runs(weights, seeds=1 if a.quick else a.seeds, days=len(study.days)))
    path = work / "runs.jsonl"
    if not a.report:
        execute(
            planned,
            path,
            lambda run: study.run(run, finished(path)),
            total=len(planned),
            describe=lambda run: f"{run.kind} λ {run.cost_weight}, seed {run.seed}",
            minutes=a.minutes,
        )
    report(
        "dist_dnas",
        figures(finished(path), log.options),
        command=f"python -m benchmarks.studies.dist_dnas --kuairand FOLDER --seeds {a.seeds}",
        packages=["torch"],
        keep=not a.quick and a.minutes == float("inf"),
    )


def runs(weights: tuple[float, ...], *, seeds: int, days: int) -> Iterator[Run]:
    """Yields all runs; those with one seed before the next."""
    for seed in range(seeds):
        yield Run(DENSEST, 0.0, seed)
        for weight in weights:
            yield from (Run("day", weight, seed, day) for day in range(days))
            yield Run("model", weight, seed)
        yield Run("sequence", COMPARED, seed)


class Study:
    """What the runs need."""

    def __init__(self, log: StudyLog, *, days: int) -> None:
        """Takes the newest days that no model is judged on."""
        self.log, self.days = log, log.learnt[-days:]

    def run(self, run: Run, made: list[Row]) -> Row:
        """Makes a run; a model depends on the days' searches before it."""
        options = self.log.options
        if run.kind in ("day", "sequence"):
            examples = self.days[run.day] if run.kind == "day" else [batch for day in self.days for batch in day]
            search = DistDNAS(cost_weight=run.cost_weight, choice_rate=CHOICE_RATE)
            before = time.process_time()
            # Days have supernets of their own, but the same first weights: what differs is the day.
            probabilities, spent = search.search_day(options, examples, self.log.features, seed=run.seed)
            seconds = time.process_time() - before
            return {"probabilities": probabilities, "spent": spent, "cpu_seconds": round(seconds, 1)}
        params = densest(options) if run.kind == DENSEST else reduce(options, _days(made, run.cost_weight, run.seed))
        return {"params": params} | train(self.log.judged, options.space, params, seed=run.seed)


def densest(options: Options) -> dict[str, Value]:
    """Returns the model with the most FLOPs, value after value."""
    chosen = options.sample(np.random.default_rng(0))
    for _ in range(3):
        for name, values in options.searched.items():
            models = [options.complete({**chosen, name: value}) for value in values]
            chosen = max(models, key=options.space.cost)
    return chosen


def figures(rows: list[Row], options: Options) -> dict[str, Any]:
    """Computes everything the study reports.

    Args:
        rows: of the runs.
        options: the models.
    """
    of = _by_kind(rows)
    names = modules(options)
    dense = {row["seed"]: row for row in of[DENSEST]}
    result: dict[str, Any] = {"densest": _model(list(dense.values())), "weights": {}}
    for weight in sorted({row["cost_weight"] for row in of["model"]}):
        models = [row for row in of["model"] if row["cost_weight"] == weight]
        pairs = [(row, dense[row["seed"]]) for row in models if row["seed"] in dense]
        days = [row for row in of["day"] if row["cost_weight"] == weight]
        result["weights"][str(weight)] = _model(models) | {
            "flops_over_densest": interval(row["flops"] / other["flops"] for row, other in pairs),
            "ne_later_less_densest": interval(row["ne_later"] - other["ne_later"] for row, other in pairs),
            "seeds_no_worse": sum(row["ne_later"] <= other["ne_later"] * (1 + TOLERANCE) for row, other in pairs),
            "share_kept": interval(np.mean([p >= KEEP for p in row["probabilities"].values()]) for row in days),
            "probability_sd_over_days": round(float(np.mean(_sd_over_days(days, names))), 4),
        }
    result["seeds_whose_flops_never_rise"] = _monotone(of["model"])
    result |= _compared(of)
    result["cut_at_equal_ne"] = _cut(result["weights"])
    return result


def _cut(weights: dict[str, Any]) -> dict[str, Any] | None:
    """Returns the greatest cut of FLOPs whose NE is no worse than the densest model's in most seeds."""
    equal = [
        (1 - one["flops_over_densest"]["mean"], weight)
        for weight, one in weights.items()
        if one["flops_over_densest"] and 2 * one["seeds_no_worse"] > one["flops_over_densest"]["seeds"]
    ]
    if not equal:
        return None
    cut, weight = max(equal)
    return {"cost_weight": float(weight), "cut": round(cut, 3), "published": PUBLISHED_CUT}


def _compared(of: dict[str, list[Row]]) -> dict[str, Any]:
    """Compares days side by side with days one after another."""
    agreed: list[float] = []
    kappa: list[float] = []
    spent: list[float] = []
    speed: dict[int, list[float]] = {2: [], 4: []}
    for sequence in of["sequence"]:
        days = [
            row
            for row in of["day"]
            if row["cost_weight"] == sequence["cost_weight"] and row["seed"] == sequence["seed"]
        ]
        if not days:
            continue
        mean = {n: float(np.mean([row["probabilities"][n] for row in days])) for n in sequence["probabilities"]}
        agreed.append(agreement(mean, sequence["probabilities"]))
        kept = [[one[name] >= KEEP for name in mean] for one in (mean, sequence["probabilities"])]
        kappa.append(float(np.nan_to_num(cohen_kappa_score(*kept))))  # not defined where both keep everything
        spent.append(sum(row["spent"] for row in days) / sequence["spent"])
        for workers, ratios in speed.items():
            ratios.append(sequence["cpu_seconds"] / _makespan([row["cpu_seconds"] for row in days], workers))
    single = [row for row in of["day"] if row["cost_weight"] == COMPARED]
    seeds = sorted({row["seed"] for row in single})
    aggregated = [
        {
            n: np.mean([row["probabilities"][n] for row in single if row["seed"] == seed])
            for n in single[0]["probabilities"]
        }
        for seed in seeds
    ]
    first = [row["probabilities"] for row in single if row["day"] == 0]
    return {
        "module_agreement": interval(agreed),
        "module_kappa": interval(kappa),
        "speed_up_by_workers": {str(workers): interval(ratios) for workers, ratios in speed.items()},
        "flops_over_sequence": interval(spent),
        "sd_over_seeds": {"one_day": _sd(first), "all_days": _sd(aggregated)},
    }


def _model(rows: list[Row]) -> dict[str, Any]:
    return {name: interval(row[name] for row in rows) for name in ("ne", "ne_later", "flops")}


def _monotone(models: list[Row]) -> int:
    """Counts the seeds whose models cost no more with every greater weight."""
    count = 0
    for seed in {row["seed"] for row in models}:
        ordered = sorted((row["cost_weight"], row["flops"]) for row in models if row["seed"] == seed)
        flops = [cost for _, cost in ordered]
        count += flops == sorted(flops, reverse=True)
    return count


def _makespan(seconds: list[float], workers: int) -> float:
    """Returns when the last worker ends; each takes the next day when it is free."""
    ends = [0.0] * workers
    for day in seconds:
        ends[ends.index(min(ends))] += day
    return max(ends)


def _sd_over_days(days: list[Row], names: list[str]) -> list[float]:
    seeds = {row["seed"] for row in days}
    return [
        float(np.std([row["probabilities"][name] for row in days if row["seed"] == seed]))
        for seed in seeds
        for name in names
    ] or [0.0]


def _sd(found: list[dict[str, float]]) -> float:
    return round(float(np.mean([np.std([one[name] for one in found]) for name in found[0]])), 4)


def _days(rows: list[Row], weight: float, seed: int) -> list[dict[str, float]]:
    wanted = {"kind": "day", "cost_weight": weight, "seed": seed}
    return [row["probabilities"] for row in rows if wanted.items() <= row.items()]


def _by_kind(rows: list[Row]) -> dict[str, list[Row]]:
    return {kind: [row for row in rows if row["kind"] == kind] for kind in ("day", "sequence", "model", DENSEST)}


if __name__ == "__main__":
    main()
