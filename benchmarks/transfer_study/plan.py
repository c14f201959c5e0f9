"""Which runs the study consists of, in the order in which they are worth having."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from itertools import product
from typing import Any, Literal

from benchmarks.transfer_study.student import ARMS

KINDS = ("dnn", "fm", "deepfm", "din", "wukong")  # dnn is the one that ships
HEADLINE = ("none", "kd", "ah", "raw", "raw_ah", "loopfm", "loopfm_ah")


@dataclass(frozen=True)
class DataSet:
    """How a log is cut. Days count from 0; the FM learns [0, cut), VMs learn [cut, test), and are judged from there."""

    cut: int
    test: int
    events_per_day: int | None = None
    days: int | None = None  # only so many of the log


DATA_SETS = {
    "kuairand": DataSet(cut=6, test=11),
    "movielens": DataSet(cut=6, test=11),
    "synthetic": DataSet(cut=6, test=11, days=14),
    "complete_journey": DataSet(cut=12, test=20, days=24),
}


@dataclass(frozen=True)
class Distilling:
    """Weights of the distillation (ExFM eq. 4 and 5)."""

    loss_weight: float = 1.0
    label_scale: float = 1.0
    gradient_scale: float = 1.0


@dataclass(frozen=True)
class Run:
    """One VM of one vertical; what is not named is as the platform ships it."""

    vertical: str
    kind: str
    arm: str
    seed: int
    size: str = "medium"  # of the FM
    stale: int | Literal["frozen"] = 0  # age of the soft labels' FM, days; frozen: it stopped at the cut
    codes: Literal["daily", "frozen"] = "daily"  # by which FM
    code_dim: int = 32
    code_bits: Literal[4, 8, 32] = 8
    slots: int = 20
    delay_s: int = 0
    encoder: str = "target_attention"
    control: Literal["", "other_user", "shuffled_codes", "current_code"] = ""
    distilling: Distilling = field(default_factory=Distilling)
    validation: bool = False  # judged on the last day before the test instead, which it then does not learn

    @property
    def key(self) -> dict[str, object]:
        """What names the run in the file of results."""
        return asdict(self)


# The best tuned distillation is searched among these, on the last day before the test, for each vertical.
TUNING = [Distilling(w, a, b) for w, a, b in product((0.3, 1.0, 3.0, 10.0), (1.0, 2.0), (1.0, 5.0))]
SWEEPS: dict[str, list[dict[str, Any]]] = {
    "slots": [{"slots": n} for n in (5, 10, 50)],
    "code_dim": [{"code_dim": n} for n in (8, 16)],
    "code_bits": [{"code_bits": n} for n in (4, 32)],
    "delay": [{"delay_s": n} for n in (600, 3600, 86_400)],
    "encoder": [{"encoder": e} for e in ("mean", "sum", "activation_unit", "multi_interest")],
    "codes": [{"codes": "frozen"}],
}
CONTROLS = ("other_user", "shuffled_codes", "current_code")


def plan(verticals: list[str], *, seeds: int) -> Iterator[Run]:
    """Every run that needs no earlier result."""

    def runs(arms: tuple[str, ...], *, kinds: tuple[str, ...] = KINDS[:1], **changed: Any) -> Iterator[Run]:
        for seed, vertical, kind, arm in product(range(seeds), verticals, kinds, arms):
            yield replace(Run(vertical, kind, arm, seed), **changed)

    yield from runs(HEADLINE)
    for vertical, distilling in product(verticals, TUNING):
        yield Run(vertical, "dnn", "ah", 0, distilling=distilling, validation=True)
    for control in CONTROLS:
        yield from runs(("loopfm_ah",), control=control)
    yield from runs(tuple(arm for arm in ARMS if arm not in HEADLINE))
    for stale in (1, 3, "frozen"):
        yield from runs(("ah", "ah_sa", "loopfm_ah"), stale=stale, codes="frozen" if stale == "frozen" else "daily")
    for size in ("small", "large"):
        yield from runs(("ah", "loopfm", "loopfm_ah"), size=size)
    yield from runs(tuple(ARMS), kinds=KINDS[1:])
    for changes in SWEEPS.values():
        for changed in changes:
            yield from runs(("loopfm_ah",), **changed)


def tuned(best: dict[str, Distilling], *, seeds: int) -> Iterator[Run]:
    """The runs with each vertical's best tuned distillation."""
    for seed, (vertical, distilling), arm in product(range(seeds), best.items(), ("ah", "raw_ah", "loopfm_ah")):
        yield Run(vertical, "dnn", arm, seed, distilling=distilling)
