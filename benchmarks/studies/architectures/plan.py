"""What is compared: architectures and their sizes, logs and their stretches, and the order of the runs."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import product
from typing import Any

EMBEDDING_DIM = 16
HISTORY_LENGTH = 20  # steps of the history; what a sequence model costs is about proportional
MEMBERS = ("interformer", "dhen")  # of the ensembles, both trained together and apart
HYPERPARAMETERS: dict[str, dict[str, Any]] = {
    "wukong": {
        "num_layers": 2,
        "num_fmb_tokens": 8,
        "num_lcb_tokens": 8,
        "rank": 8,
        "mlp": [256],
        "num_dense_tokens": 2,
        "head": [128, 64],
    },
    "dlrm": {"bottom": [256, 128], "head": [512, 128]},
    "dcnv2": {"num_cross_layers": 2, "rank": 64, "deep": [256, 128], "head": [128]},
    "dhen": {"num_layers": 2, "num_tokens": 12, "rank": 32, "head": [128, 64]},
    "din": {"attention": [64, 32], "head": [256, 128]},
    "interformer": {"num_layers": 1, "rank": 32, "pffn_hidden": 32, "head": [128, 64]},
}
HYPERPARAMETERS["cetnet"] = {
    "members": [{"architecture": name, "hyperparameters": HYPERPARAMETERS[name]} for name in MEMBERS]
}


@dataclass(frozen=True)
class DataSet:
    """A stretch of a log; its last days are judged."""

    days: int | None  # from the log's first; None: all
    judged_days: int
    events_per_day: int | None = None


DATA_SETS = {
    "kuairand": DataSet(days=None, judged_days=3),
    "complete_journey": DataSet(days=12, judged_days=3),  # a day is a week of the log
    "synthetic": DataSet(days=8, judged_days=3, events_per_day=40_000),
}
QUICK = {"synthetic": DataSet(days=3, judged_days=1, events_per_day=2000)}


@dataclass(frozen=True)
class Run:
    """One model over one log."""

    data_set: str
    architecture: str
    seed: int

    @property
    def key(self) -> dict[str, object]:
        """Returns what names the run in the file of results."""
        return asdict(self)


def runs(data_sets: Iterable[str], *, seeds: int) -> Iterator[Run]:
    """Yields every architecture on every log with the first seed, then with the next."""
    for seed, data_set, architecture in product(range(seeds), list(data_sets), HYPERPARAMETERS):
        yield Run(data_set, architecture, seed)
