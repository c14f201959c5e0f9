"""What a day of 10⁹ users, 10⁸ ads, 10¹¹ impressions and 10¹² parameters takes, by calculation from small days here.

    python -m benchmarks.studies.scale

Two days of the synthetic log go through the real jobs, each a process of its own, at sizes that double. Of each step:
seconds, processor seconds of the job and all it starts, peak memory; of each table its bytes. Costs are fitted as
fixed + slope · rows. `doubling_s` and `doubling_cpu` are p of fixed + c · rowsᵖ, from the differences between sizes,
so that the fixed part cancels: 1 is a line. From the slopes follows, by arithmetic, what the load of `target.Target`
takes. How the FM's tables would lie on many GPUs is the estimate of torchrec's planner: the dense network is not in it.

Every run is one line of `runs.jsonl` in the work folder, every plan one of `plans.jsonl`; a study that was stopped
continues where it was. Without `--seeds`, every size is run once.
"""

import shutil
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path

from benchmarks.placement import DIM, TOTAL_ROWS, plan
from benchmarks.platform_file import forget_settings
from benchmarks.report import report
from benchmarks.studies.command_line import study_parser
from benchmarks.studies.scale.day import planned, two_days
from benchmarks.studies.scale.figures import figures
from benchmarks.studies.scale.target import Target
from search.trials import Row, execute, finished_of

SIZES = (40_000, 80_000, 160_000, 320_000)  # events a day
QUICK_SIZES = (5000,)
GPUS, QUICK_GPUS = (64, 128, 256), (8,)
SHARDINGS = ("row_wise", None)
PACKAGES = ["torch", "torchrec", "pyspark", "feast", "great-expectations", "polars", "pyarrow", "duckdb"]


@dataclass(frozen=True)
class Placement:
    """The target's tables on so many GPUs."""

    gpus: int
    table_rows: int
    sharding: str | None = None  # the one the planner may choose; None: any

    @property
    def key(self) -> dict[str, object]:
        """Returns what names the plan in the file of plans."""
        return asdict(self)


def main() -> None:
    """Makes the runs and plans that are missing, then reports what there is."""
    a = study_parser(__doc__, seeds=1, quick="one tiny size, 8 GPUs; figures are not kept").parse_args()
    forget_settings()
    work: Path = a.work / ("scale_quick" if a.quick else "scale")
    if a.quick:
        shutil.rmtree(work, ignore_errors=True)  # nothing of the last look is used again
    work.mkdir(parents=True, exist_ok=True)
    target = Target()
    table_rows = TOTAL_ROWS if a.quick else int(target.parameters / DIM)
    runs = planned(QUICK_SIZES if a.quick else SIZES, a.seeds)
    counts = QUICK_GPUS if a.quick else GPUS
    placements = [Placement(gpus, table_rows, sharding) for sharding, gpus in product(SHARDINGS, counts)]
    if not a.report:
        execute(
            runs,
            work / "runs.jsonl",
            lambda run: two_days(run, work / "days"),
            total=len(runs),
            describe=str,
            minutes=a.minutes,
        )
        execute(placements, work / "plans.jsonl", _place, total=len(placements), describe=str, minutes=a.minutes)
    made = finished_of(runs, work / "runs.jsonl")
    plans = finished_of(placements, work / "plans.jsonl")
    whole = len(made) == len(runs) and len(plans) == len(placements)
    command = f"python -m benchmarks.studies.scale --seeds {a.seeds}"
    report("scale", figures(made, plans, target), command=command, packages=PACKAGES, keep=not a.quick and whole)


def _place(placement: Placement) -> Row:
    return plan(placement.gpus, total_rows=placement.table_rows, sharding=placement.sharding)


if __name__ == "__main__":
    main()
