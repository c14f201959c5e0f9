"""Random search, a predictor, one-shot and differentiable search in one space, at equal compute.

    python -m benchmarks.studies.search_methods --kuairand ~/KuaiRand-Pure/data

Every method may spend the FLOPs of 24 trainings of a mean model: a trained example counts three forward passes, a
scored one one. What a search with a supernet leaves of it goes into training what it proposes, the best first. All
models are trained alike, over the whole log; by the first judged days the front of NE and FLOPs is chosen, by the last
ones it is reported (Rankitect, arXiv:2311.08430, compares sampling, one-shot and DNAS so).

Every run is one line of `runs.jsonl` in the work folder and, at the end, of a file beside the kept tables, from which
the study goes on. Figures are kept once all seeds are complete.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.report import report
from benchmarks.studies.command_line import study_parser
from benchmarks.studies.kept_runs import kept_runs
from benchmarks.studies.rank_agreement import agreement
from benchmarks.studies.ranking_table import train
from benchmarks.studies.supernet_log import StudyLog, study_log
from quality.seed_intervals import interval
from search.candidates import Many
from search.choices import Value
from search.samplers.predictor import Predictor
from search.samplers.random import random_search
from search.space import Params, Space
from search.supernet.dnas import DNAS
from search.supernet.learner import inherited_loss
from search.supernet.one_shot import OneShot
from search.supernet.options import Options
from search.supernet.proposal import Log, Proposal, Proposer, trained
from search.trial import Question, Sampler, Trial
from search.trials import Row, execute, finished

TRAININGS = 24  # the mixture of DNAS takes some 18 of them
MEAN_OF = 300  # random models whose mean cost is a mean model's
VALIDATION_BATCHES = 40
SAMPLERS: dict[str, Sampler] = {"random": random_search, "predictor": Predictor(Many(), first=8, cost_weight=0.3)}
PROPOSERS: dict[str, Proposer] = {"one_shot": OneShot(scored=100, population=40), "dnas": DNAS(cost_weight=0.01)}
WITNESSES = "random"  # whose models also tell how well the one-shot supernet ranks
PROPOSAL = -1  # in place of a trial's number


@dataclass(frozen=True)
class SearchedSpace(Space):
    """The searched choices of a supernet's options as a space of their own, for samplers."""

    options: Options

    @classmethod
    def of(cls, options: Options) -> "SearchedSpace":
        """Builds it."""
        return cls(options.choices, options)

    def canonical(self, params: Params) -> dict[str, Value]:
        """Returns the searched choices of the whole model's canonical params."""
        whole = self.options.complete(super().canonical(params))
        return {choice.name: whole[choice.name] for choice in self.choices}

    def refusal(self, params: Params) -> str | None:
        """Says what the whole model's space says."""
        return self.options.space.refusal(self.options.complete(params))

    def cost(self, params: Params) -> float:
        """Counts the whole model's FLOPs."""
        return self.options.space.cost(self.options.complete(params))


@dataclass(frozen=True)
class Run:
    """A proposal, or the training of a model that a method chose."""

    method: str
    seed: int
    number: int
    params: Params | None = None

    @property
    def key(self) -> dict[str, object]:
        """Returns what names the run in the file of results."""
        return {"method": self.method, "seed": self.seed, "number": self.number}


def main() -> None:
    """Makes the runs that are missing, then reports what there is."""
    parser = study_parser(
        __doc__, seeds=3, quick="two trainings' compute on a small log; figures are not kept", kuairand=True
    )
    a = parser.parse_args()
    logging.basicConfig(level=logging.ERROR)
    torch.set_num_threads(1)
    log = study_log(a.work, kuairand=a.kuairand, quick=a.quick)
    seeds = 1 if a.quick else a.seeds
    with kept_runs(a, "search_methods", ("method", "seed", "number")) as path:
        study = Study(log, path, trainings=4 if a.quick else TRAININGS)
        if not a.report:
            execute(
                study.planned(seeds),
                path,
                study.run,
                total=seeds * len([*SAMPLERS, *PROPOSERS]) * study.trainings,
                describe=lambda run: f"{run.method}, seed {run.seed}",
                minutes=a.minutes,
            )
    report(
        "search_methods",
        figures(finished(study.path)) | {"budget_flops": study.budget},
        command=f"python -m benchmarks.studies.search_methods --kuairand FOLDER --seeds {a.seeds}",
        packages=["torch", "scipy"],
        keep=not a.quick and study.complete(seeds),
    )


class Study:
    """What the runs need."""

    def __init__(self, log: StudyLog, path: Path, *, trainings: int) -> None:
        """Computes the budget.

        Args:
            log: to learn.
            path: file of the runs.
            trainings: of a mean model, whose FLOPs every method may spend.
        """
        self.log, self.path, self.trainings = log, path, trainings
        self.space = SearchedSpace.of(log.options)
        rng = np.random.default_rng(0)
        costs = [log.options.space.cost(log.options.sample(rng)) for _ in range(MEAN_OF)]
        self.rows = sum(batch.size for day in log.days for batch in day)
        self.budget = trainings * trained(float(np.mean(costs)), self.rows)

    @property
    def of_log(self) -> Log:
        """Returns what a search may learn from."""
        return self.log.log(VALIDATION_BATCHES)

    def planned(self, seeds: int) -> Iterator[Run]:
        """Yields the runs, each as what was made before makes it; a method's last one may not break the budget."""
        for seed in range(seeds):
            for method in [*SAMPLERS, *PROPOSERS]:
                if method in PROPOSERS:
                    yield Run(method, seed, PROPOSAL)
                for number in range(10 * self.trainings):
                    made = [row for row in finished(self.path) if row["method"] == method and row["seed"] == seed]
                    params = self._next(method, seed, made)
                    if params is None:
                        break
                    cost = trained(self.log.options.space.cost(params), self.rows)
                    if sum(row["spent"] for row in made if row["number"] < number) + cost > self.budget:
                        break
                    yield Run(method, seed, number, params)

    def complete(self, seeds: int) -> bool:
        """Returns whether no planned run is missing."""
        made = [{name: row[name] for name in ("method", "seed", "number")} for row in finished(self.path)]
        return all(run.key in made for run in self.planned(seeds))

    def run(self, run: Run) -> Row:
        """Makes a proposal, or trains."""
        options = self.log.options
        if run.params is not None:
            figures = train(self.log.judged, options.space, run.params, seed=run.seed)
            spent = trained(options.space.cost(run.params), self.rows)
            return {"params": dict(run.params), "spent": spent, **figures}
        most = 10 * self.trainings
        proposal = PROPOSERS[run.method](options, self.of_log, count=most, seed=run.seed)
        row: Row = {"ranked": self._affordable(proposal), "spent": proposal.compute}
        if run.method == "one_shot":
            row["witnesses"] = self._witnessed(run.seed)
        return row

    def _affordable(self, proposal: Proposal) -> list[dict[str, Value]]:
        """Returns the best proposed models, as many as the rest of the budget trains."""
        spent, best = proposal.compute, []
        for proposed in proposal.ranked:
            spent += trained(self.log.options.space.cost(proposed.params), self.rows)
            if spent > self.budget:
                break
            best.append(proposed.params)
        return best

    def _next(self, method: str, seed: int, made: Sequence[Row]) -> dict[str, Value] | None:
        """Returns the next model to train; None where there is none."""
        trials = sorted((row for row in made if row["number"] != PROPOSAL), key=lambda row: row["number"])
        if method in PROPOSERS:
            ranked = next(row["ranked"] for row in made if row["number"] == PROPOSAL)
            return ranked[len(trials)] if len(trials) < len(ranked) else None
        history = [self._trial(row) for row in trials]
        remaining = 10 * self.trainings - len(history)
        if not remaining:
            return None
        asks = SAMPLERS[method](Question(self.space, history, 1, remaining, seed))
        return self.log.options.complete(asks[0].params) if asks else None

    def _trial(self, row: Row) -> Trial:
        searched = {choice.name: row["params"][choice.name] for choice in self.space.choices}
        return Trial(row["number"], searched, "done", row["ne"], row["flops"], row["seconds"], tuple(row["curve"]))

    def _witnessed(self, seed: int) -> dict[str, float]:
        """Returns the loss that the models of random search inherit from the one-shot supernet, by their number."""
        search = PROPOSERS["one_shot"]
        assert isinstance(search, OneShot)
        supernet, _ = search.learnt(self.log.options, self.of_log, seed=seed)
        made = [row for row in finished(self.path) if (row["method"], row["seed"]) == (WITNESSES, seed)]
        validation = self.of_log.validation
        return {str(row["number"]): inherited_loss(supernet, row["params"], validation) for row in made}


def hypervolume(points: Sequence[tuple[float, float]], reference: tuple[float, float]) -> float:
    """Returns the area that points of two costs dominate below a reference point; lower costs are better."""
    area, highest = 0.0, reference[1]
    for first, second in sorted(points):
        if first < reference[0] and second < highest:
            area += (reference[0] - first) * (highest - second)
            highest = second
    return area


def front(rows: Sequence[Row]) -> list[Row]:
    """Returns the rows that no other beats in NE on the days to choose by and FLOPs."""
    best, kept = float("inf"), []
    for row in sorted(rows, key=lambda row: (row["flops"], row["ne"])):
        if row["ne"] < best:
            best = row["ne"]
            kept.append(row)
    return kept


def figures(rows: list[Row]) -> dict[str, Any]:
    """Computes everything the study reports.

    Hypervolumes are shares of the rectangle from the best NE and FLOPs of all models to the worst.

    Args:
        rows: of the runs.
    """
    models = [row for row in rows if row["number"] != PROPOSAL]
    low, high = ([extreme(row[name] for row in models) for name in ("flops", "ne_later")] for extreme in (min, max))
    scale = [top - bottom or 1.0 for bottom, top in zip(low, high, strict=True)]
    result: dict[str, Any] = {"trained": len(models), "methods": {}}
    volumes: dict[str, dict[int, float]] = {}
    for method in dict.fromkeys(row["method"] for row in models):
        for_seed = {}
        for seed in sorted({row["seed"] for row in models if row["method"] == method}):
            own = [row for row in models if (row["method"], row["seed"]) == (method, seed)]
            points = [((row["flops"] - low[0]) / scale[0], (row["ne_later"] - low[1]) / scale[1]) for row in front(own)]
            best = min(own, key=lambda row: row["ne"])
            search = [
                row["spent"] for row in rows if (row["method"], row["seed"], row["number"]) == (method, seed, PROPOSAL)
            ]
            for_seed[seed] = {
                "hypervolume": hypervolume(points, (1.0, 1.0)),
                "best_ne_later": best["ne_later"],
                "best_flops": best["flops"],
                "trained": len(own),
                "share_spent_on_search": sum(search) / (sum(search) + sum(row["spent"] for row in own)),
            }
        volumes[method] = {seed: one["hypervolume"] for seed, one in for_seed.items()}
        names = next(iter(for_seed.values()))
        result["methods"][method] = {n: interval(one[n] for one in for_seed.values()) for n in names}
    for method in volumes.keys() - {"random"}:
        seeds = volumes[method].keys() & volumes.get("random", {}).keys()
        less = interval(volumes[method][seed] - volumes["random"][seed] for seed in sorted(seeds))
        result["methods"][method]["hypervolume_less_random"] = less
    result["shared_weights"] = _witnesses(rows)
    return result


def _witnesses(rows: list[Row]) -> dict[str, Any]:
    """Returns how well inherited losses rank the models of random search, by seed."""
    found = {}
    for row in rows:
        losses = row.get("witnesses", {})
        trained_too = [
            other
            for other in rows
            if (other["method"], other["seed"]) == (WITNESSES, row["seed"]) and str(other["number"]) in losses
        ]
        if losses:
            inherited = np.array([losses[str(other["number"])] for other in trained_too])
            final = np.array([(other["ne"] + other["ne_later"]) / 2 for other in trained_too])
            flops = np.array([other["flops"] for other in trained_too], float)
            found[str(row["seed"])] = agreement(inherited, final, flops)
    return found


if __name__ == "__main__":
    main()
