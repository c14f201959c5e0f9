"""A search for a better model against the models that people would take, on days by which none of them was chosen.

    python -m benchmarks.studies.search_end_to_end --kuairand ~/KuaiRand-Pure/data
    python -m benchmarks.studies.search_end_to_end --kuairand ~/KuaiRand-Pure/data --target tab_1

The platform's own jobs run the days of the log; `search_architecture` makes its trials, judged as it judges them unless
told otherwise, and concludes on the three dates after them: of the best trials, each trained with all seeds, the found
model is the best one on the search's dates. Beside it stand the platform's own model, also with its rates chosen from
all that the search may choose, the architectures by hand, and gradient boosting. Each of them has rates or sizes to
choose from, of which those are taken that are best on the search's dates by one training. Then each is trained with all
seeds and judged on the later dates. None of the search's models may cost more FLOPs than the platform's own; those by
hand may.
"""

import argparse
import json
import logging
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from benchmarks.report import report
from benchmarks.studies.command_line import study_parser
from benchmarks.studies.landed import landed_days
from benchmarks.studies.search_end_to_end.boosting import GRID, Table, boosted, foundation_table, vertical_table
from benchmarks.studies.search_end_to_end.page import write_page
from benchmarks.studies.search_end_to_end.results import Predicted, figures
from benchmarks.studies.search_end_to_end.rivals import SHIPPED, Rival, rivals
from config import PlatformConfig
from jobs import search_architecture
from quality.metrics import evaluate
from search.conclusion import CONCLUSION_FILE, CURRENT, final_file
from search.study import FOUNDATION, Study
from search.targets import Trials, finals_of, load_study, trials_of
from search.trials import Row, execute, finished
from search.vertical_trials import VerticalTrials

STUDY = "end_to_end"
LATER = 3  # platform days after those of the search
FINALISTS = 6
BOOSTING = "boosting"
OWN_TUNED = "shipped, its rates chosen"


@dataclass(frozen=True)
class Run:
    """A model of one setting, trained once: to choose the setting, or to be judged at the end."""

    model: str
    setting: int
    later: bool
    seed: int

    @property
    def key(self) -> dict[str, object]:
        """Returns what names the run in the file of results."""
        return vars(self)


def main() -> None:
    """Searches, trains the other models, then reports what there is."""
    parser = study_parser(
        __doc__, seeds=5, quick="three trials and two other models on a small log; nothing is kept", kuairand=True
    )
    parser.add_argument("--target", default=FOUNDATION, help="foundation, or a vertical (default foundation)")
    parser.add_argument("--trials", type=int, default=100, help="of the search (default 100)")
    a = parser.parse_args()
    logging.basicConfig(level=logging.ERROR)
    logging.getLogger("headwater.search").setLevel(logging.INFO)
    torch.set_num_threads(1)
    work = a.work / f"search_end_to_end{'_quick' if a.quick else ''}" / a.target
    work.mkdir(parents=True, exist_ok=True)
    config = _platform(a, work).changed(runtime={"torch_threads": 1})
    if not a.report:
        trials, seeds = (3, 2) if a.quick else (a.trials, a.seeds)
        of_search: dict[str, Any] = {"judged_days": 1, "later_days": 1} if a.quick else {}
        search_architecture.main(
            config,
            study=STUDY,
            target=a.target,
            trials=trials,
            finalists=FINALISTS,
            seeds=seeds,
            **{"later_days": LATER} | of_search,
        )
    others = Others(config, load_study(config, STUDY), work)
    if not a.report:
        others.make(seeds=2 if a.quick else a.seeds, quick=a.quick)
    name = "search_end_to_end" if a.target == FOUNDATION else f"search_end_to_end_{a.target}"
    report(
        name,
        others.figures(),
        command=f"python -m benchmarks.studies.search_end_to_end --kuairand FOLDER --target {a.target}",
        packages=["torch", "torchrec", "scikit-learn"],
        keep=not a.quick,
    )
    if not a.quick:
        write_page()


def _platform(a: argparse.Namespace, work: Path) -> PlatformConfig:
    source, days = ("synthetic", 4) if a.quick else ("kuairand", None)
    return landed_days(source, work / "platform", target=a.target, path=a.kuairand, days=days)


class Others:
    """The models that no search found."""

    def __init__(self, config: PlatformConfig, study: Study, work: Path) -> None:
        """Takes a search that has been concluded; `work` keeps what the other models predicted."""
        self.config, self.study, self.work = config, study, work
        self.target = study.settings.target
        self.rivals = rivals(self.target)
        self.runs = work / "runs.jsonl"
        self.later = finals_of(config, study).later
        (work / "predictions").mkdir(exist_ok=True)

    def make(self, *, seeds: int, quick: bool) -> None:
        """Trains what is missing."""
        names = [SHIPPED, "dlrm"] if quick else list(dict.fromkeys(r.name for r in self.rivals))
        chosen_from = [(r.name, n) for n, r in enumerate(self.rivals) if r.name in names]
        chosen_from += [(BOOSTING, n) for n in range(2 if quick else len(GRID))]

        def planned() -> Iterator[Run]:
            yield from (Run(name, n, later=False, seed=0) for name, n in chosen_from)
            best_of = self.chosen()
            for seed in range(seeds):
                yield from (Run(name, best_of[name], later=True, seed=seed) for name in [*names, BOOSTING])

        learners = {later: self._learner(later) for later in (False, True)}
        execute(
            planned(),
            self.runs,
            lambda run: self._run(run, learners[run.later]),
            total=len(chosen_from) + seeds * (len(names) + 1),
            describe=lambda run: f"{run.model}, {'seed ' + str(run.seed) if run.later else 'choosing'}",
        )

    def chosen(self) -> dict[str, int]:
        """Returns for each model the setting with the lowest NE on the search's dates."""
        rows = sorted((row for row in finished(self.runs) if not row["later"]), key=lambda row: -row["ne"])
        return {row["model"]: row["setting"] for row in rows}

    def figures(self) -> dict[str, Any]:
        """Computes everything the study reports, over the seeds that all models have."""
        chosen = self.chosen()
        rows = [row for row in finished(self.runs) if row["later"] and row["setting"] == chosen[row["model"]]]
        finalists = json.loads((self.study.folder / CONCLUSION_FILE).read_text())["finalists"]
        own = [one["model"] for one in finalists]
        names = list(dict.fromkeys(row["model"] for row in rows))
        seeds = min(len({row["seed"] for row in rows if row["model"] == name}) for name in names)
        found = [f"found {place}" for place in range(1, len(own) + 1)]
        of_search = dict(zip([SHIPPED, *found], [CURRENT, *own], strict=True))
        predicted: Predicted = {
            name: [np.load(final_file(self.study, self.later.platform, key, seed)) for seed in range(seeds)]
            for name, key in of_search.items()
        } | {
            OWN_TUNED if name == SHIPPED else name: [np.load(self._file(Run(name, 0, True, s))) for s in range(seeds)]
            for name in names
        }
        ne = {row["model"]: row["ne"] for row in self._choosing() if row["setting"] == chosen[row["model"]]}
        by_hand = sorted((name for name in names if name not in (BOOSTING, SHIPPED)), key=lambda name: ne[name])
        log = self.later.log
        records = self.study.records()
        made = {record.key: record.trial for record in records}
        return figures(log.labels, log.users, predicted, found=found[0], shipped=SHIPPED, by_hand=by_hand) | {
            "target": self.target,
            "trials": dict(Counter(record.trial.status for record in records)),
            "hours_of_trials": round(sum(r.trial.seconds or 0.0 for r in records) / 3600, 2),
            "cost_cap": self.study.settings.cost_cap,
            "found_models": [
                {
                    "params": made[one["model"]].params,
                    "flops": made[one["model"]].cost,
                    "ne": made[one["model"]].objective,  # of its trial
                    "search_ne": one["search_ne"],
                }
                for one in finalists
            ],
            "chosen": {name: self._setting(name, n) | {"ne": ne[name]} for name, n in chosen.items()},
            "flops": {row["model"]: row["flops"] for row in rows if row["flops"]},
        }

    def _choosing(self) -> list[Row]:
        return [row for row in finished(self.runs) if not row["later"]]

    def _setting(self, name: str, setting: int) -> dict[str, Any]:
        return dict(GRID[setting]) if name == BOOSTING else {"rates": self.rivals[setting].rates}

    def _learner(self, later: bool) -> tuple[Trials, Callable[[], Table]]:
        trainer = self.later if later else trials_of(self.config, self.study)
        if isinstance(trainer, VerticalTrials):
            return trainer, lambda: vertical_table(trainer)
        return trainer, lambda: foundation_table(self.config, trainer.days, judged_days=trainer.judged_days)

    def _run(self, run: Run, learner: tuple[Trials, Callable[[], Table]]) -> Row:
        trainer, read = learner
        probabilities: npt.NDArray[np.floating]
        if run.model == BOOSTING:
            table = read()
            if not np.array_equal(table.labels[table.days >= 0], trainer.log.labels):
                raise RuntimeError("boosting reads the judged rows in another order than the models do")
            probabilities, flops = boosted(table, GRID[run.setting], seed=run.seed), None
        else:
            rival: Rival = self.rivals[run.setting]
            judged = trainer.fit(rival.changed, seed=run.seed, what=f"{run.model}, seed {run.seed}")
            probabilities, flops = judged.probabilities, judged.figures["flops_per_example"]
            if not run.later:  # by what the search's own trials are chosen
                return {"ne": trainer.objective(judged), "flops": flops}
        if run.later:
            np.save(self._file(run), probabilities)
        ne = evaluate(trainer.log.labels, np.asarray(probabilities, np.float32)).ne
        return {"ne": ne, "flops": flops}

    def _file(self, run: Run) -> Path:
        return self.work / "predictions" / f"{run.model}-{run.seed}.npy"


if __name__ == "__main__":
    main()
