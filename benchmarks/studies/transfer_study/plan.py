"""Which runs the study consists of, in the order in which they are worth having."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from itertools import product
from typing import Any, Literal

from benchmarks.studies.transfer_study.arms import ARMS

Features = Literal["shipped", "lean"]
# Kinds of VM with their hyperparameters, sized for a VM; dnn is the one that ships.
HYPERPARAMETERS: dict[str, dict[str, Any]] = {
    "dnn": {},
    "fm": {"hidden": []},
    "deepfm": {"deep": [64, 32], "hidden": []},
    "din": {"attention": [32, 16]},
    "wukong": {"num_fmb_tokens": 4, "num_lcb_tokens": 4, "rank": 8, "mlp": [32]},
}
KINDS = tuple(HYPERPARAMETERS)
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
    "synthetic": DataSet(cut=6, test=11, days=14, events_per_day=20_000),
    "complete_journey": DataSet(cut=8, test=13, days=16),
    # LoopFM's public protocol (arXiv:2605.29280): the FM learns days 1 to 4, VMs days 5 to 7, and day 8 is the test.
    "taobao_ad": DataSet(cut=4, test=7),
    "amazon_electronics": DataSet(cut=4, test=7),
    "kuaivideo": DataSet(cut=4, test=7),
}


@dataclass(frozen=True)
class Distilling:
    """Weights of the distillation (ExFM eq. 4 and 5)."""

    loss_weight: float = 1.0
    label_scale: float = 1.0
    gradient_scale: float = 1.0
    distillation_head: Literal["auxiliary", "serving"] = "auxiliary"


@dataclass(frozen=True)
class Run:
    """One VM of one vertical; what is not named is as the platform ships it."""

    vertical: str
    kind: str
    arm: str
    seed: int
    features: Features = "shipped"  # lean: the VM has no window counts, which the FM has
    size: str = "medium"  # of the FM
    stale: int | Literal["frozen"] = 0  # age of the soft labels' FM, days; frozen: it stopped at the cut
    codes: Literal["daily", "unaligned", "frozen"] = "daily"  # by which FM, see teacher.CODES
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
        """Returns what names the run in the file of results."""
        return asdict(self)


# The best distillation is searched among these, on the last day before the test, for each vertical.
TUNING = [Distilling(w, a, b) for w, a, b in product((0.3, 1.0, 3.0, 10.0), (1.0, 2.0), (1.0, 5.0))]
TUNING += [Distilling(w, distillation_head="serving") for w in (0.3, 1.0, 3.0, 10.0)]
# A slot of the raw history holds an id of the item and of each of its features; so cut, one of LoopFM is no larger.
EQUAL_BYTES: dict[str, Any] = {"code_dim": 16, "code_bits": 4}
FEATURES: tuple[Features, ...] = ("shipped", "lean")
SWEEPS: dict[str, tuple[str, list[dict[str, Any]]]] = {  # of one arm, by name of the sweep
    "codes by": ("loopfm_ah", [{"codes": "frozen"}, {"codes": "unaligned"}]),
    "code_bits": ("loopfm_ah", [{"code_bits": n} for n in (4, 32)]),
    "code_dim": ("loopfm_ah", [{"code_dim": n} for n in (8, 16)]),
    "delay_s": ("loopfm_ah", [{"delay_s": n} for n in (600, 3600, 86_400)]),
    "history_encoder": (
        "loopfm_ah",
        [{"encoder": e} for e in ("mean", "sum", "activation_unit", "multi_interest")],
    ),
    "slots": ("loopfm_ah", [{"slots": n} for n in (5, 10, 50)]),
    "slots of the raw history": ("raw_ah", [{"slots": n} for n in (5, 10, 50)]),
}
CONTROLS = ("other_user", "shuffled_codes", "current_code")


def first(verticals: list[str], *, seeds: int) -> Iterator[Run]:
    """Yields what the study is about, and the search for the best distillation."""
    for features in FEATURES:
        yield from _runs(verticals, seeds, HEADLINE, features=features)
        yield from _runs(verticals, seeds, ("loopfm_ah",), features=features, **EQUAL_BYTES)
    for features, vertical, distilling in product(FEATURES, verticals, TUNING):
        yield Run(vertical, "dnn", "ah", 0, features=features, distilling=distilling, validation=True)


def tuned(best: dict[tuple[str, Features], Distilling], *, seeds: int) -> Iterator[Run]:
    """Yields the runs with the best distillation of each vertical and choice of features."""
    for seed, (key, distilling), arm in product(range(seeds), best.items(), ("ah", "raw_ah", "loopfm_ah")):
        vertical, features = key
        yield replace(Run(vertical, "dnn", arm, seed), features=features, distilling=distilling)


def rest(verticals: list[str], *, seeds: int) -> Iterator[Run]:
    """Yields controls, the other arms, staleness, sizes and kinds of model, and each setting by itself."""

    def runs(*arms: str, **changed: Any) -> Iterator[Run]:
        return _runs(verticals, seeds, arms, **changed)

    for features in FEATURES:
        yield from runs(*(arm for arm in ARMS if arm not in HEADLINE), features=features)
        for control in CONTROLS:
            yield from runs("loopfm_ah", features=features, control=control)
    for stale in (1, 3, "frozen"):
        yield from runs("ah", "ah_sa", "loopfm_ah", stale=stale, codes="frozen" if stale == "frozen" else "daily")
    yield from runs("kd", "loopfm", stale="frozen", codes="frozen")  # with the former, LoopFM's protocol
    for arm, changes in SWEEPS.values():
        for changed in changes:
            yield from runs(arm, **changed)
    for size in ("small", "large"):
        yield from runs("ah", "loopfm", "loopfm_ah", size=size)
    for kind in KINDS[1:]:
        yield from runs("none", "ah", "raw_ah", "loopfm_ah", kind=kind)
    for kind in KINDS[1:]:
        yield from runs(*ARMS, kind=kind)


def _runs(
    verticals: list[str], seeds: int, arms: tuple[str, ...], *, kind: str = "dnn", **changed: Any
) -> Iterator[Run]:
    for seed, vertical, arm in product(range(seeds), verticals, arms):
        yield replace(Run(vertical, kind, arm, seed), **changed)
