"""Bayesian optimization of standard functions: how much of the way to the optimum each decision goes.

    python -m benchmarks.studies.bo_gap --seeds 20

Every method begins with the same 2 d trials and makes 10 d more. GAP is (f0 - f) / (f0 - f*): f0 the best of the first
trials, f the best of all, f* the optimum; 1 is all the way (arXiv:1909.04568, 2006.15779). Methods are compared on the
same functions and seeds, by sign tests and by the mean difference. A run in which a method had no answer of its own is
left out and counted. `two_step_less_log_ei` is the mean GAP of looking two steps ahead less the greedy one's.

Every run is one line of `runs.jsonl` in the work folder and, at the end, of `benchmarks/tables/bo_gap_runs.jsonl`, from
which a study goes on. Figures are of complete seeds alone, and kept from five of them on.
"""

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import product
from typing import Any

import numpy as np
import torch
from botorch.test_functions import Ackley, Branin, Bukin, DropWave, EggHolder, Hartmann, Shekel
from botorch.test_functions.synthetic import SyntheticTestFunction

from benchmarks.report import report
from benchmarks.studies.command_line import study_parser
from benchmarks.studies.complete_seeds import ENOUGH, complete_seeds
from benchmarks.studies.kept_runs import make_runs
from benchmarks.studies.paired import Found, compared
from search.bayes.binoculars import Binoculars
from search.bayes.improvement import Improvement
from search.bayes.knowledge_gradient import KnowledgeGradient
from search.bayes.multi_step import MultiStep
from search.choices import Real
from search.samplers.bayesian import Bayesian
from search.samplers.random import random_search
from search.space import Params, Space
from search.trial import FALLBACK, Ask, Question, Trial
from search.trials import Row

FIRST, THEN = 2, 10  # trials by dimension: the same for all methods, and those that a method chooses
FUNCTIONS: dict[str, SyntheticTestFunction] = {
    "eggholder": EggHolder(),
    "drop_wave": DropWave(),
    "bukin": Bukin(),
    "branin": Branin(),
    "ackley_2": Ackley(dim=2),
    "hartmann_3": Hartmann(dim=3),
    "shekel_5": Shekel(m=5),
}
METHODS = {
    "random": None,
    "ei": Improvement(logarithm=False),
    "log_ei": Improvement(),
    "knowledge_gradient": KnowledgeGradient(),
    "binoculars_best": Binoculars("best"),
    "binoculars_sampled": Binoculars("sampled"),
    "two_step": MultiStep(2),
    "three_step": MultiStep(3),
    "four_step": MultiStep(4, (5, 3, 2)),
}
LOOK_AHEAD = ("binoculars_best", "binoculars_sampled", "two_step", "three_step", "four_step")
QUICK_THEN = 1


@dataclass(frozen=True)
class Run:
    """A search for the lowest value of a function."""

    function: str
    method: str
    seed: int

    @property
    def key(self) -> dict[str, object]:
        """Returns what names the run in the file of results."""
        return asdict(self)


def main() -> None:
    """Makes the runs that are missing, then reports the complete seeds."""
    a = study_parser(__doc__, seeds=20, quick="one seed, d trials; figures are not kept").parse_args()
    torch.set_num_threads(1)  # the processes are too small to share
    planned = list(runs(1 if a.quick else a.seeds))
    then = QUICK_THEN if a.quick else THEN
    made = make_runs(a, "bo_gap", planned, lambda run: search(run, then=then))
    rows, seeds = complete_seeds(planned, made)
    report(
        "bo_gap",
        {"seeds": seeds, **figures(rows)},
        command=f"python -m benchmarks.studies.bo_gap --seeds {seeds}",
        packages=["torch", "botorch", "gpytorch"],
        keep=not a.quick and seeds >= ENOUGH,
    )


def runs(seeds: int) -> Iterator[Run]:
    """Yields everything with the first seed, then with the next."""
    for seed, function, method in product(range(seeds), FUNCTIONS, METHODS):
        yield Run(function, method, seed)


def search(run: Run, *, then: int = THEN) -> Row:
    """Makes a search.

    Returns:
        `gap`, None where the first trials had found the optimum; `fallbacks` among the trials; `cpu_seconds` of all
        `decisions` together.
    """
    began = time.process_time()
    history = trials(run, then=then)
    return {
        "gap": gap(run.function, [trial.objective for trial in history if trial.objective is not None]),
        "fallbacks": sum(FALLBACK in trial.tags for trial in history),
        "cpu_seconds": time.process_time() - began,
        "decisions": then * FUNCTIONS[run.function].dim,
    }


def trials(run: Run, *, then: int) -> list[Trial]:
    """Makes the trials of a search, in their order."""
    function = FUNCTIONS[run.function]
    decision, d = METHODS[run.method], function.dim
    space = Space(tuple(Real(f"x{n}", float(low), float(high)) for n, (low, high) in enumerate(function._bounds)))
    total = (FIRST + then) * d
    history: list[Trial] = []

    def tried(asks: list[Ask]) -> None:
        for ask in asks:
            reached = value(function, ask.params)
            history.append(Trial(len(history), ask.params, "done", reached, None, None, tags=ask.tags))

    tried(Bayesian(Improvement(), first=FIRST * d)(Question(space, (), FIRST * d, total, run.seed)))
    sampler = random_search if decision is None else Bayesian(decision, first=FIRST * d)
    while len(history) < total:
        tried(sampler(Question(space, tuple(history), 1, total - len(history), run.seed)))
    return history


def value(function: SyntheticTestFunction, params: Params) -> float:
    """Computes a function at a point."""
    return float(function(torch.tensor([list(params.values())], dtype=torch.float64)))


def gap(function: str, objectives: list[float]) -> float | None:
    """Computes how much of the way was gone; None where the first trials had found the optimum."""
    of = FUNCTIONS[function]
    first, optimum = min(objectives[: FIRST * of.dim]), float(of.optimal_value)
    return (first - min(objectives)) / (first - optimum) if first > optimum else None


def figures(rows: list[Row]) -> dict[str, Any]:
    """Computes mean GAPs, differences between methods on the same functions and seeds, and what a decision costs."""
    gaps: Found = {
        (row["function"], row["method"], row["seed"]): row["gap"]
        for row in rows
        if not row["fallbacks"] and row["gap"] is not None
    }
    return {
        "runs": len(rows),
        "left_out": {m: n for m in METHODS if (n := sum(r["fallbacks"] > 0 for r in rows if r["method"] == m))},
        "methods": {method: _of_method(rows, gaps, method) for method in METHODS},
        "functions": {
            function: {method: mean for method in METHODS if (mean := _mean(gaps, [function], method)) is not None}
            for function in FUNCTIONS
        },
        **{
            f"{one}_less_{other}": pairs
            for one, other in product(LOOK_AHEAD, ("ei", "log_ei"))
            if (pairs := compared(gaps, FUNCTIONS, one, other))
        },
    }


def _of_method(rows: list[Row], gaps: Found, method: str) -> dict[str, Any]:
    of = [row for row in rows if row["method"] == method]
    decisions = sum(row["decisions"] for row in of)
    return {
        "gap": _mean(gaps, list(FUNCTIONS), method),
        "cpu_seconds_a_decision": round(sum(row["cpu_seconds"] for row in of) / decisions, 3) if of else None,
    }


def _mean(gaps: Found, functions: list[str], method: str) -> float | None:
    of = [found for (function, name, _), found in gaps.items() if function in functions and name == method]
    return round(float(np.mean(of)), 4) if of else None


if __name__ == "__main__":
    main()
