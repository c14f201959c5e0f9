"""Foundation-model architectures on the same rows: NE, AUC and gAUC of days that a model had not learnt.

    python -m benchmarks.studies.architectures --kuairand ~/KuaiRand-Pure/data

A model learns the days of a log in time order, in one pass, and scores each of the last days before it learns it. All
have tables of width 16, the same rows and batches, the optimizer settings that the platform ships, and dense networks
of 0.3 to 1 MFLOP an example; InterFormer, whose history has 20 steps, costs up to 3, and CETNet what its members
InterFormer and DHEN cost together. `plan.py` has the sizes. Nothing was tuned for any of them.

Every run is one line of `runs.jsonl` in the work folder. A study that was stopped continues where it was.
"""

import logging
import shutil
from collections.abc import Mapping
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.report import report
from benchmarks.studies.architectures.comparison import figures
from benchmarks.studies.architectures.plan import (
    DATA_SETS,
    EMBEDDING_DIM,
    HISTORY_LENGTH,
    HYPERPARAMETERS,
    QUICK,
    DataSet,
    Run,
    runs,
)
from benchmarks.studies.architectures.plots import plot
from benchmarks.studies.command_line import study_parser
from benchmarks.studies.whole_log import whole_log
from config import ROOT, load_config
from search.trials import execute, finished
from training.foundation.progressive_log import ProgressiveLog


def main() -> None:
    """Makes the runs that are missing, then reports what there is."""
    parser = study_parser(__doc__, seeds=5, quick="one seed on a small log; figures are not kept", kuairand=True)
    parser.add_argument("--data-sets", nargs="+", choices=DATA_SETS, default=list(DATA_SETS), help="(default all)")
    a = parser.parse_args()
    logging.basicConfig(level=logging.ERROR)
    torch.set_num_threads(1)
    name = "architectures_quick" if a.quick else "architectures"
    data_sets = QUICK if a.quick else {chosen: DATA_SETS[chosen] for chosen in a.data_sets}
    if a.quick:
        shutil.rmtree(a.work / name, ignore_errors=True)  # nothing of the last look is used again
    study = Study(a.work / name, data_sets, path={"kuairand": a.kuairand})
    if not a.report:
        planned = list(runs(data_sets, seeds=1 if a.quick else a.seeds))
        execute(
            planned,
            study.runs,
            study.run,
            total=len(planned),
            describe=lambda run: f"{run.data_set}: {run.architecture}, seed {run.seed}",
            minutes=a.minutes,
        )
    results = figures(finished(study.runs), study.predictions, {name: study.log(name) for name in study.judged()})
    if not a.quick:
        plot(results, ROOT / "docs" / "images" / "architectures.svg")
    report(
        "architectures",
        results | {"sizes": HYPERPARAMETERS, "embedding_dim": EMBEDDING_DIM, "history_length": HISTORY_LENGTH},
        command=f"python -m benchmarks.studies.architectures --kuairand FOLDER --seeds {a.seeds}",
        packages=["torch", "torchrec"],
        keep=not a.quick,
    )


class Study:
    """The runs of a work folder."""

    def __init__(self, work: Path, data_sets: Mapping[str, DataSet], *, path: Mapping[str, str | None]) -> None:
        """Makes the folder.

        Args:
            work: the folder.
            data_sets: logs by name.
            path: folder of a log's files, where they are not fetched or generated.
        """
        self.work, self.data_sets, self.path = work, data_sets, path
        self.runs = work / "runs.jsonl"
        self.log = cache(self._log)
        (work / "predictions").mkdir(parents=True, exist_ok=True)

    def run(self, run: Run) -> dict[str, Any]:
        """Trains and judges a model; keeps its probabilities of the judged rows in a file."""
        log = self.log(run.data_set)
        settings = log.config.foundation_model.changed(
            architecture=run.architecture,
            hyperparameters=HYPERPARAMETERS[run.architecture],
            embedding_dim=EMBEDDING_DIM,
        )
        judged = log.run(settings, seed=run.seed, what=f"{run.data_set}, {run.architecture}, seed {run.seed}")
        np.save(self._prediction(run.key), judged.probabilities)
        return judged.figures

    def predictions(self, row: Mapping[str, Any]) -> np.ndarray:
        """Reads the probabilities that a finished run gave the judged rows, (n,)."""
        return np.load(self._prediction(row))

    def judged(self) -> list[str]:
        """Returns the logs that have runs."""
        return [name for name in self.data_sets if any(row["data_set"] == name for row in finished(self.runs))]

    def _prediction(self, row: Mapping[str, Any]) -> Path:
        return self.work / "predictions" / f"{row['data_set']}_{row['architecture']}_{row['seed']}.npy"

    def _log(self, name: str) -> ProgressiveLog:
        data_set = self.data_sets[name]
        first = load_config(ROOT / "platform.yaml").sources[name].first_day
        config, day = whole_log(
            name,
            self.work / "logs" / name,
            path=self.path.get(name),
            last_day=first + timedelta(days=data_set.days - 1) if data_set.days else None,
            events_per_day=data_set.events_per_day,
            history_length=HISTORY_LENGTH,
        )
        return ProgressiveLog.of(config, [day], judged_days=data_set.judged_days)


if __name__ == "__main__":
    main()
