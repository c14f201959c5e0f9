"""Bayesian optimization over pools of trained settings: how much of the way to the best row each decision goes.

    python -m benchmarks.studies.bo_platform --seeds 20 --grids FOLDER

Pools are of HPO-B and LCBench, 2 to 9 choices, four grids of the paper on BINOCULARS where `--grids` says where they
lie, and the platform's own table where it was made; of a larger pool, 2 000 rows were drawn. A search may ask for a
pool's rows and nothing else: they are the whole space, and the samplers weigh them as they do in any small space, so
nothing is proposed beside a row and moved.

Every method begins with the same 2 d random rows and asks for 20 more. GAP is (f0 - f) / (f0 - f*), as in `bo_gap`: f0
the best of the first rows, f the best of all, f* the best of the pool. Where the first rows held the best one, a run
says nothing and is not counted. Over a pool `log_ei` asks for what `ei` asks for, so there is one of them. A run in
which a method had no answer of its own is left out and counted. A figure is of complete seeds alone.

Every run is one line of `runs.jsonl` in the work folder and, at the end, of `benchmarks/tables/bo_platform_runs.jsonl`,
from which a study goes on. A pool that has changed since is searched again.
"""

from functools import cache
from pathlib import Path

import torch

from benchmarks.report import report
from benchmarks.studies.bo_platform.pools import Pool, pools
from benchmarks.studies.bo_platform.results import figures
from benchmarks.studies.bo_platform.searches import THEN, runs, search
from benchmarks.studies.command_line import study_parser
from benchmarks.studies.complete_seeds import ENOUGH, complete_seeds
from benchmarks.studies.kept_runs import make_runs

QUICK_THEN, QUICK_POOLS = 1, 2


def main() -> None:
    """Makes the runs that are missing, then reports the complete seeds."""
    parser = study_parser(__doc__, seeds=20, quick="one seed, two pools, one trial; figures are not kept")
    parser.add_argument("--grids", type=Path, help="folder of the paper's grids, such as svm_on_grid.csv")
    a = parser.parse_args()
    torch.set_num_threads(1)  # the processes are too small to share
    there = pools(a.work, a.grids)
    names = list(there)[:QUICK_POOLS] if a.quick else list(there)

    @cache
    def pool(name: str) -> Pool:
        return there[name]()

    planned = list(runs(1 if a.quick else a.seeds, {name: len(pool(name).objectives) for name in names}))
    then = QUICK_THEN if a.quick else THEN
    made = make_runs(a, "bo_platform", planned, lambda run: search(run, pool(run.pool), then=then))
    rows, seeds = complete_seeds(planned, made)
    report(
        "bo_platform",
        {"seeds": seeds, "pools": {name: _told(pool(name)) for name in names}, **figures(rows)},
        command=f"python -m benchmarks.studies.bo_platform --seeds {seeds}" + " --grids FOLDER" * (a.grids is not None),
        packages=["torch", "botorch", "gpytorch"],
        keep=not a.quick and seeds >= ENOUGH,
    )


def _told(pool: Pool) -> dict[str, int]:
    best = sum(objective == pool.optimum for objective in pool.objectives.values())
    return {"rows": len(pool.objectives), "choices": pool.dimensions, "best_rows": best}


if __name__ == "__main__":
    main()
