"""Samplers on public tables of trained networks: who finds the best of 15 000 to 62 000 in 100 trials.

    python -m benchmarks.studies.search_tabular --seeds 20

A search sees one training of each combination, drawn by its seed; what it found is judged by the mean over all
trainings. `hit_top002pct` is the share of searches by the predictor with REINFORCE that tried one of the best 0.02 %.
Beside it: how well the predictor's networks rank what they have not seen, by Kendall's τ.

The tables are downloaded with pip; the platform's own is used where benchmarks/tables/ holds it. Every run is one line
of `runs.jsonl` in the work folder; a study that was stopped continues where it was.
"""

import logging
import shutil
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cache
from itertools import product
from typing import Literal

import torch

from benchmarks.report import report
from benchmarks.studies.command_line import study_parser
from benchmarks.studies.search_tabular.page import write_page
from benchmarks.studies.search_tabular.plots import plot
from benchmarks.studies.search_tabular.ranking import PREDICTORS, held_out_tau
from benchmarks.studies.search_tabular.replay import METHODS, replay
from benchmarks.studies.search_tabular.results import figures
from benchmarks.studies.search_tabular.tables import LEAST, OWN, TABLES, Table
from config import ROOT
from search.trials import Row, execute, finished_of

QUICK_TRIALS = 40


@dataclass(frozen=True)
class Run:
    """A search of a table by a method, or a predictor fitted to some of its rows."""

    study: Literal["search", "ranking"]
    table: str
    method: str
    seed: int

    @property
    def key(self) -> dict[str, object]:
        """Returns what names the run in the file of results."""
        return asdict(self)


def main() -> None:
    """Makes the runs that are missing, then reports what there is."""
    parser = study_parser(__doc__, seeds=20, quick="one seed, 40 trials; figures are not kept")
    a = parser.parse_args()
    logging.basicConfig(level=logging.ERROR)
    torch.set_num_threads(1)  # the networks are too small to share
    work = a.work / ("search_tabular_quick" if a.quick else "search_tabular")
    if a.quick:
        shutil.rmtree(work, ignore_errors=True)  # nothing of the last look is used again
    work.mkdir(parents=True, exist_ok=True)

    @cache
    def table(name: str) -> Table | None:
        return TABLES[name](a.work)

    def run(one: Run) -> Row:
        of = table(one.table)
        assert of is not None
        if one.study == "ranking":
            return {"tau": held_out_tau(of, one.method, seed=one.seed)}
        return replay(of, one.method, seed=one.seed, **({"trials": QUICK_TRIALS} if a.quick else {}))

    there = [name for name in TABLES if table(name) is not None]
    if "own" not in there:
        print(f"{OWN.relative_to(ROOT)} has no {LEAST} models yet, so it is left out", file=sys.stderr)
    planned = list(runs(there, seeds=1 if a.quick else a.seeds))
    if not a.report:
        execute(planned, work / "runs.jsonl", run, total=len(planned), describe=str, minutes=a.minutes)
    made = finished_of(planned, work / "runs.jsonl")
    sizes = {name: len(of.values) for name in there if (of := table(name)) is not None}
    results = figures(made, sizes)
    kept = not a.quick and len(made) == len(planned)
    if kept:
        plot(results, ROOT / "docs" / "images" / "search_tabular.svg")
    report(
        "search_tabular",
        results,
        command=f"python -m benchmarks.studies.search_tabular --seeds {a.seeds}",
        packages=["torch", "optuna", "numpy"],
        keep=kept,
    )
    if kept:
        write_page()


def runs(tables: list[str], *, seeds: int) -> Iterator[Run]:
    """Yields everything with the first seed, then with the next."""
    for seed, table in product(range(seeds), tables):
        for method in METHODS:
            yield Run("search", table, method, seed)
        for predictor in PREDICTORS:
            yield Run("ranking", table, predictor, seed)


if __name__ == "__main__":
    main()
