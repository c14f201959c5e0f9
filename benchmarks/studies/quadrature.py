"""Averages over many cells from 10 to 40 of them: who errs least, and whether the error bars hold.

    python -m benchmarks.studies.quadrature --seeds 20

Functions are Genz's families and a mixture of two peaks, on 400 points of the unit square, each drawn by the seed.
`days_of_ne` is the case of `estimate_ne`: the NE of a foundation model over 21 days after those it learnt, in 8 parts a
day, by vertical; the log is generated, of other days for each seed. There the plain process is told, as by
`estimate_ne`, how much the mean of so many rows varies by chance; one of the root is not.

The rule of the next cell: BINOCULARS, the cell of which least is known, any cell; with a plain process and with one of
the root of the values (WSABI-L). With a plain process, what is known does not depend on the values but through its
refitted lengths, so BINOCULARS can hardly differ from looking where least is known: a control. `error` is the median of
|found - exact| / |exact|; `covered` the share of 95 % intervals that hold the exact average.

Every run is one line of `runs.jsonl` in the work folder and, at the end, of `benchmarks/tables/quadrature_runs.jsonl`,
from which a study goes on. Figures are of complete seeds alone, and kept from five of them on; the days' seeds are
counted for themselves.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from typing import Any, get_args

import numpy as np
import torch
from scipy.stats import qmc

from benchmarks.report import report
from benchmarks.studies.command_line import study_parser
from benchmarks.studies.complete_seeds import ENOUGH, complete_seeds
from benchmarks.studies.days_of_ne import Cells, Log, days_of_ne
from benchmarks.studies.kept_runs import make_runs
from benchmarks.studies.paired import signs
from search.bayes.quadrature import Rule, average, known, noise_of_means
from search.choices import Array
from search.trials import Row

CELLS, BUDGETS = 400, (10, 20, 40)
RULES: tuple[Rule, ...] = get_args(Rule)
QUICK_BUDGETS = (10,)
Drawn = Callable[[Array, Array, Array], Array]  # points, (n, 2), a, (2,), and u, (2,), to values, (n,)

FUNCTIONS: dict[str, Drawn] = {
    "oscillatory": lambda x, a, u: 2 + np.cos(2 * np.pi * u[0] + x @ a),
    "product_peak": lambda x, a, u: (1 / (a**-2 + (x - u) ** 2)).prod(1),
    "corner_peak": lambda x, a, u: (1 + x @ a) ** -3.0,
    "gaussian": lambda x, a, u: np.exp(-((a * (x - u)) ** 2).sum(1)),
    "continuous": lambda x, a, u: np.exp(-(a * np.abs(x - u)).sum(1)),
    "discontinuous": lambda x, a, u: np.where((x > u).any(1), 0.0, np.exp(np.minimum(x @ a, 5))),
    "two_peaks": lambda x, a, u: (
        np.exp(-((2 * a * (x - u)) ** 2).sum(1)) + 0.5 * np.exp(-((3 * a * (x - u[::-1])) ** 2).sum(1)) + 0.01
    ),
}
DAYS = {f"days_of_{vertical}": vertical for vertical in ("feed", "search", "video")}
QUICK_LOG = {"learnt": 1, "scored": 2, "events": 900}


@dataclass(frozen=True)
class Run:
    """An average by a rule."""

    function: str
    rule: Rule
    warped: bool
    seed: int

    @property
    def key(self) -> dict[str, object]:
        """Returns what names the run in the file of results."""
        return asdict(self)


def main() -> None:
    """Makes the runs that are missing, then reports the complete seeds of the functions, and those of the days."""
    a = study_parser(__doc__, seeds=20, quick="one seed, 10 cells; figures are not kept").parse_args()
    logging.basicConfig(level=logging.ERROR)
    torch.set_num_threads(1)  # the processes are too small to share
    planned = list(runs(1 if a.quick else a.seeds))
    budgets = QUICK_BUDGETS if a.quick else BUDGETS
    log = Log(a.work / "days_of_ne_quick", **QUICK_LOG) if a.quick else Log(a.work / "days_of_ne")
    made = make_runs(a, "quadrature", planned, lambda run: estimates(run, cells(run, log), budgets))
    functions, seeds = complete_seeds([run for run in planned if run.function in FUNCTIONS], made)
    days, seeds_of_days = complete_seeds([run for run in planned if run.function in DAYS], made)
    of_days = figures(days, budgets) if a.quick or seeds_of_days >= ENOUGH else {}
    report(
        "quadrature",
        {"seeds": seeds, **figures(functions, budgets), "days_of_ne": {"seeds": seeds_of_days, **of_days}},
        command=f"python -m benchmarks.studies.quadrature --seeds {seeds}",
        packages=["torch", "botorch", "gpytorch"],
        keep=not a.quick and seeds >= ENOUGH,
    )


def runs(seeds: int) -> Iterator[Run]:
    """Yields everything with the first seed, then with the next."""
    for seed, function, warped, rule in product(range(seeds), (*FUNCTIONS, *DAYS), (False, True), RULES):
        yield Run(function, rule, warped, seed)


def cells(run: Run, log: Log) -> Cells:
    """Draws the function of a run, or computes what the model of its seed loses in each part of the log's days."""
    if run.function in DAYS:
        return days_of_ne(log, run.seed)[DAYS[run.function]]
    rng = np.random.default_rng(run.seed)
    x = qmc.Sobol(2, rng=rng).random(512)[:CELLS]
    values = FUNCTIONS[run.function](x, rng.uniform(2, 6, 2), rng.uniform(0.2, 0.8, 2))
    return Cells(x, values, np.ones(CELLS))


def estimates(run: Run, of: Cells, budgets: tuple[int, ...] = BUDGETS) -> Row:
    """Estimates the average of some cells.

    A batch is planned for the largest budget; what was known on the way is computed from the cells until there.

    Returns:
        By budget: `error`, relative to the exact average, and `covered`, whether the interval held it.
    """
    exact = float(np.average(of.values, weights=of.weights))
    variances = of.variances

    def noise(evaluated: Sequence[int]) -> Array:
        assert variances is not None
        return noise_of_means(variances[list(evaluated)], evaluated, of.weights)

    told = None if variances is None or run.warped else noise
    whole = average(
        lambda cell: float(of.values[cell]),
        of.x,
        of.weights,
        budget=max(budgets),
        rule=run.rule,
        warped=run.warped,
        noise=told,
        seed=run.seed,
    )
    row: Row = {}
    for budget in budgets:
        found = known(
            of.x,
            of.weights,
            whole.cells[:budget],
            whole.values[:budget],
            warped=run.warped,
            noise=told,
            seed=run.seed,
        )
        low, high = found.interval
        row[str(budget)] = {"error": abs(found.mean - exact) / abs(exact), "covered": low <= exact <= high}
    return row


def figures(rows: list[Row], budgets: tuple[int, ...] = BUDGETS) -> dict[str, Any]:
    """Computes errors by rule and budget, and sign tests of BINOCULARS on the same cells and seeds."""
    errors = {
        (row["function"], row["seed"], row["warped"], row["rule"], budget): row[str(budget)]
        for row in rows
        for budget in budgets
    }
    found: dict[str, Any] = {"runs": len(rows)}
    for warped, name in ((False, "plain"), (True, "warped")):
        found[name] = {rule: {str(budget): _of(errors, warped, rule, budget) for budget in budgets} for rule in RULES}
        for other in RULES[1:]:
            found[f"{name}_binoculars_against_{other}"] = {
                str(budget): _signs(errors, warped, other, budget) for budget in budgets
            }
    return found


Errors = dict[tuple[str, int, bool, str, int], dict[str, Any]]


def _of(errors: Errors, warped: bool, rule: str, budget: int) -> dict[str, float] | None:
    of = [row for key, row in errors.items() if key[2:] == (warped, rule, budget)]
    if not of:
        return None
    return {
        "error": float(np.median([row["error"] for row in of])),
        "covered": round(float(np.mean([row["covered"] for row in of])), 4),
    }


def _signs(errors: Errors, warped: bool, other: str, budget: int) -> dict[str, float]:
    return signs(
        [
            errors[(*key[:2], warped, other, budget)]["error"] - row["error"]
            for key, row in errors.items()
            if key[2:] == (warped, "binoculars", budget) and (*key[:2], warped, other, budget) in errors
        ]
    )


if __name__ == "__main__":
    main()
