"""The log that searches with a supernet learn from, and on which what they propose is trained: days before and after.

A search sees the days that no model is judged on, and the first judged days, by which trials are chosen, too. The last
days are seen by nobody before a trained model is reported on them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import storage
from benchmarks.studies.ranking_table import CHOSEN_ON, FIXED, REPORTED_ON, judged_log, ranking_log
from data.batches.foundation import Examples, FoundationFeatures, foundation_batches
from data.sources import source_schema
from search.choices import Value
from search.foundation_trials import foundation_inputs
from search.spaces.ranking import RankingSpace
from search.supernet.options import Options
from search.supernet.proposal import Log
from training.foundation.progressive_log import ProgressiveLog

# The recipe and the sizes of every model; operations, dense tokens and history are searched.
RECIPE: dict[str, Value] = {"embedding_learning_rate": 0.05, "first_embeddings": 0.05}
SIZES: dict[str, Value] = {"count_1": 8, "count_2": 8, "width_1": 128, "width_2": 128, "reads_2": "previous"}
BATCH_SIZE = 128  # of searches: shared weights need many steps, and the log is small; trials keep the platform's


@dataclass(frozen=True)
class StudyLog:
    """A log, its space, and its examples with histories, day by day."""

    judged: ProgressiveLog  # for ordinary trials
    options: Options
    days: Sequence[Sequence[Examples]]
    features: FoundationFeatures

    @property
    def learnt(self) -> Sequence[Sequence[Examples]]:
        """Returns the days on which no model is judged."""
        return self.days[: len(self.days) - CHOSEN_ON - REPORTED_ON]

    def log(self, validation_batches: int) -> Log:
        """Returns what a search may learn from: evenly spaced batches of the days to choose by validate."""
        first = len(self.learnt)
        chosen = [batch for day in self.days[first : first + CHOSEN_ON] for batch in day]
        step = max(1, len(chosen) // validation_batches)
        return Log(self.learnt, chosen[::step][:validation_batches], self.features)


def study_log(work: Path, *, kuairand: str | None, quick: bool) -> StudyLog:
    """Lands the log once, and encodes it.

    Args:
        work: folder that keeps it for all studies of supernets.
        kuairand: folder of KuaiRand-Pure's files.
        quick: a small generated log in its place.
    """
    config, day = ranking_log(work / "supernet_log", kuairand=kuairand, quick=quick)
    optimizer = {"batch_size": BATCH_SIZE}
    reading = config.changed(
        foundation_model={"architecture": "sequence_graph", "hyperparameters": {}, "optimizer": optimizer}
    )
    midnights = storage.midnights(config, storage.calendar_days(config, day))
    days = [list(foundation_batches(reading, day, start=start, end=end)) for start, end in pairwise(midnights)]
    space = RankingSpace.of(foundation_inputs(config), target="foundation", blocks=2)
    return StudyLog(
        judged_log(config, day),
        Options(space, FIXED | RECIPE | SIZES),
        days,
        FoundationFeatures.of(source_schema(reading), reading.foundation_model, reading.features),
    )
