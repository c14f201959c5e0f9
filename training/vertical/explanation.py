"""Why a vertical model gains what it gains from the FM: each part measured by an intervention.

The same VM is trained anew several times on the same rows; each time one thing about what the FM passes on differs.
What LoopFM gains splits exactly (arXiv:2605.29280, theorem 1, with NE for the information it estimates):

    gain of LoopFM = temporal + cross-feature - residual

temporal: what the ids, labels and ages of the same past impressions give without the FM; cross-feature: what the FM's
codes add to them; residual: what the ids know that the codes do not. The platform's own VMs read item ids beside the
codes and learn the FM's soft label; these are the parts that follow.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from config import VerticalSettings
from data.batches.impression_history import Slots
from models.vertical.network import VerticalNetwork
from quality.intervals import Interval, PairedBootstrap
from quality.metrics import row_losses
from training.vertical.arm import Arm
from training.vertical.logged_rows import LoggedRows
from training.vertical.rows import VerticalRows
from training.vertical.student import Student, predict

Losses = npt.NDArray[np.float64]
NONE, RAW, BOTH = Arm(), Arm(ids="all"), Arm(ids="all", codes="codes")
LOOPFM, WITH_ITEM = Arm(codes="codes"), Arm(ids="item", codes="codes")


@dataclass(frozen=True)
class OneSnapshot:
    """One FM snapshot's codes of the logged impressions after its day."""

    since: int  # end of that day, microseconds since 1970
    codes: Tensor  # zeros where it gave none, (N, code_dim)
    hidden: Tensor  # what the codes are made of, (N, H)


@dataclass(frozen=True)
class Part:
    """One thing that was changed, and what it changed in NE."""

    name: str
    what: str  # is compared with what, for people
    gain: Interval  # NE gained; below 0: lost
    knob: str = ""  # in platform.yaml, that changes it for good


@dataclass(frozen=True)
class Explanation:
    """NE of the models trained, the parts of the gain, and what would add to it."""

    rows: int  # judged
    learnt_rows: int
    ne: dict[str, float]  # by name of the model
    gain: list[Part]  # sum to the gain of the VM with history and soft label
    open: list[Part]  # each measured by itself: what one change would add
    depends: list[Part]  # the trained model given another history, no history, or other codes: what it loses
    cold_share: float  # of the judged rows whose user has no history
    cold_share_of_gap: float  # of what still lies between the VM and the FM, the part on those rows
    skipped: list[str]  # what was not measured, and why

    def as_dict(self) -> dict[str, Any]:
        """Returns plain values."""
        return asdict(self)


def metric_name(kind: str, name: str) -> str:
    """Returns the name of a model's or part's figure in MLflow."""
    return f"{kind}_{name}".replace(",", "").replace("-", "_").replace(" ", "_")


def gain_parts(learn: LoggedRows, judge: LoggedRows, *, seeds: int, passes: int) -> tuple[dict[str, float], list[Part]]:
    """Computes the first part of `explain`: NE of each model from no FM to the VM that ships, and each step's gain."""
    world = _World(learn, judge, seeds, passes)
    losses = _on_the_way(world, world.served(), keep=[])
    bootstrap = _bootstrap(judge, losses)
    return {name: bootstrap.ne(name) for name in losses}, parts_of_gain(bootstrap)


def explain(
    learn: LoggedRows, judge: LoggedRows, snapshot: OneSnapshot | str, *, seeds: int, passes: int
) -> Explanation:
    """Trains the VMs and compares them on the judged rows.

    Args:
        learn: rows to learn, in order of time.
        judge: later rows of the same log.
        snapshot: of the FM; or why there is none.
        seeds: how often each VM is trained; losses are means over them.
        passes: over the rows to learn.
    """
    world = _World(learn, judge, seeds, passes)
    served = world.served()
    skipped = []
    trained: list[VerticalNetwork] = []
    losses = _on_the_way(world, served, keep=trained)
    codes = learn.codes[:, : learn.config.served_code_dim]
    losses["fresh"] = world.shipped("fresh histories", world.rows(codes, fresh=True))
    losses["exact"] = world.shipped("codes as the FM made them", world.rows(learn.codes, rounded=False))
    losses["wider"] = world.shipped("wider reader", served, settings=_wider(learn.config.vertical_model))
    losses["longer"] = world.shipped("twice the passes", served, passes=2 * passes)
    if isinstance(snapshot, str):
        skipped.append(f"one snapshot, uncompressed codes: {snapshot}")
    else:
        world_since = world.since(snapshot.since)
        for name, what, of_log in (
            ("as logged", "codes as logged, newest days", learn.codes),
            ("one snapshot", "codes of one snapshot", snapshot.codes),
            ("uncompressed", "the hidden layer itself", snapshot.hidden),
        ):
            rows = world_since.rows(of_log, rounded=False, since=snapshot.since)
            losses[name] = world_since.shipped(what, rows)
    for name, other in _other_histories(served[1], seeds):
        losses[name] = np.mean([_losses(predict(network, other), judge) for network in trained], axis=0)
    return _explanation(learn, judge, served[1], losses, skipped)


Rows = tuple[VerticalRows, VerticalRows]  # to learn, to judge


@dataclass(frozen=True)
class _World:
    learn: LoggedRows
    judge: LoggedRows
    seeds: int
    passes: int

    def served(self) -> Rows:
        return self.learn.served(), self.judge.served()

    def rows(self, codes: Tensor, *, fresh: bool = False, rounded: bool = True, since: int | None = None) -> Rows:
        learn, judge = (
            rows.with_codes(codes, fresh=fresh, rounded=rounded, since=since) for rows in (self.learn, self.judge)
        )
        return learn, judge

    def since(self, micros: int) -> "_World":
        later = self.learn.part(np.flatnonzero(self.learn.instants >= micros))
        return _World(later, self.judge, self.seeds, self.passes)

    def shipped(self, what: str, rows: Rows, **changed: Any) -> Losses:
        shipped = self.learn.config.transfer.changed(soft_label=True, history=True)
        return self.losses(what, Arm.of(shipped), rows, **changed)

    def losses(
        self,
        what: str,
        arm: Arm,
        rows: Rows,
        *,
        settings: VerticalSettings | None = None,
        passes: int | None = None,
        keep: list[VerticalNetwork] | None = None,
    ) -> Losses:
        config = self.learn.config
        student = Student(
            settings or config.vertical_model,
            config.transfer,
            arm,
            self.learn.features.num_embeddings,
            self.learn.history_ids,
        )
        losses = []
        for seed in range(self.seeds):
            progress = f"learn with {what}, seed {seed + 1} of {self.seeds}"
            trainer = student.fit(rows[0], seed=config.runtime.seed + seed, what=progress, epochs=passes or self.passes)
            network = trainer.network
            losses.append(_losses(predict(network, rows[1]), self.judge))
            if keep is not None:
                keep.append(network)
        return np.mean(losses, axis=0)


def _on_the_way(world: _World, served: Rows, *, keep: list[VerticalNetwork]) -> dict[str, Losses]:
    """Computes losses of the models from no FM to the VM that ships, and of the FM; adds VMs that ship to `keep`."""
    return {
        "none": world.losses("nothing of the FM", NONE, served),
        "raw": world.losses("raw history", RAW, served),
        "both": world.losses("raw history and codes", BOTH, served),
        "loopfm": world.losses("codes", LOOPFM, served),
        "with item": world.losses("codes and item ids", WITH_ITEM, served),
        "shipped": world.shipped("codes, item ids and soft labels", served, keep=keep),
        "fm": row_losses(world.judge.labels.numpy(), world.judge.soft_labels.numpy()),
    }


def _losses(probabilities: npt.NDArray[np.float32], judge: LoggedRows) -> Losses:
    return row_losses(judge.labels.numpy(), probabilities)


def _wider(settings: VerticalSettings) -> VerticalSettings:
    """Doubles the width of history encoder and trunk."""
    names = settings.hyperparameters.keys() & VerticalNetwork.Config.model_fields.keys()
    shipped = VerticalNetwork.Config.model_validate({name: settings.hyperparameters[name] for name in names})
    twice = {"history_dim": 2 * shipped.history_dim, "hidden": [2 * width for width in shipped.hidden]}
    return settings.changed(hyperparameters=settings.hyperparameters | twice)


def _other_histories(rows: VerticalRows, seed: int) -> Iterator[tuple[str, VerticalRows]]:
    """Yields the judged rows with no history, with another user's, with the codes shuffled."""
    generator = torch.Generator().manual_seed(seed)
    empty = Slots(torch.full_like(rows.slots.positions, -1), torch.zeros_like(rows.slots.ages))
    yield "no history", replace(rows, slots=empty)
    yield "another user", replace(rows, slots=rows.slots.part(torch.randperm(len(rows), generator=generator)))
    shuffled = rows.codes[torch.randperm(len(rows.codes), generator=generator)]
    yield "shuffled codes", replace(rows, codes=shuffled)


def _bootstrap(judge: LoggedRows, losses: dict[str, Losses]) -> PairedBootstrap:
    return PairedBootstrap.of_losses(judge.labels.numpy(), judge.users, losses, seed=judge.config.runtime.seed)


def _part(bootstrap: PairedBootstrap, name: str, what: str, before: str, after: str, knob: str = "") -> Part:
    return Part(name, what, bootstrap.ne_difference(before, after), knob)


def parts_of_gain(bootstrap: PairedBootstrap) -> list[Part]:
    """Returns the parts that sum to the gain of the VM that ships, of models named as `gain_parts` names them."""
    part = partial(_part, bootstrap)
    return [
        part("temporal", "ids, labels and ages of the user's past impressions, without the FM", "none", "raw"),
        part("cross-feature", "the FM's codes beside them", "raw", "both"),
        part("residual", "codes alone: what only the ids knew is lost", "both", "loopfm"),
        part("item ids", "the past impressions' items beside the codes, as shipped", "loopfm", "with item"),
        part(
            "distillation", "the FM's soft label in training", "with item", "shipped",
            "transfer.distillation_head, transfer.loss_weight",
        ),
    ]  # fmt: skip


def _explanation(
    learn: LoggedRows, judge: LoggedRows, served: VerticalRows, losses: dict[str, Losses], skipped: list[str]
) -> Explanation:
    bootstrap = _bootstrap(judge, losses)
    part = partial(_part, bootstrap)
    gain = parts_of_gain(bootstrap)
    still_open = [
        part("staleness", "histories as of the impression, not of the day's start", "shipped", "fresh",
             "transfer.delay_s; or shorter platform days (sources.*.days_per_day)"),
        part("rounding", "codes whole and exact, not as stored", "shipped", "exact",
             "transfer.code_bits, transfer.code_dim"),
        part("absorption, width", "history encoder and trunk twice as wide", "shipped", "wider",
             "vertical_model.hyperparameters: history_dim, hidden"),
        part("absorption, passes", "twice the passes over the rows", "shipped", "longer",
             "vertical_model.optimizer.learning_rate, vertical_model.cold_start_epochs"),
    ]  # fmt: skip
    if "one snapshot" in losses:
        still_open += [
            part("alignment", "all codes by one FM snapshot, on the days after it", "as logged", "one snapshot",
                 "foundation_model.codes.alignment; or lower rates in foundation_model.optimizer"),
            part("compression", "that snapshot's hidden layer itself, not its code", "one snapshot", "uncompressed",
                 "foundation_model.codes.dim"),
        ]  # fmt: skip
    depends = [
        part(name, f"the trained VM reads {what}", "shipped", name)
        for name, what in (
            ("no history", "empty histories"),
            ("another user", "another user's history"),
            ("shuffled codes", "its histories with other impressions' codes"),
        )
    ]
    cold = ~(served.slots.positions >= 0).any(dim=1).numpy()
    gap = losses["shipped"] - losses["fm"]
    return Explanation(
        rows=len(judge.labels),
        learnt_rows=len(learn.labels),
        ne={name: bootstrap.ne(name) for name in losses},
        gain=gain,
        open=still_open,
        depends=depends,
        cold_share=float(cold.mean()),
        cold_share_of_gap=float(gap[cold].sum() / gap.sum()) if gap.sum() > 0 else float("nan"),
        skipped=skipped,
    )
