"""Does one run of the study."""

from dataclasses import asdict, dataclass, replace
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.studies.transfer_study.arms import ARMS
from benchmarks.studies.transfer_study.log import StudyLog
from benchmarks.studies.transfer_study.plan import HYPERPARAMETERS, DataSet, Run
from benchmarks.studies.transfer_study.teacher import Teacher, teacher
from config import PlatformConfig, Transfer
from data.batches.impression_history import Slots
from data.codes import stored
from data.features.point_in_time import Ints
from quality.metrics import evaluate
from training.vertical.rows import VerticalRows
from training.vertical.student import Student, predict


@dataclass
class Study:
    """A log with its FMs; what several runs share is kept."""

    config: PlatformConfig
    day: date
    log: StudyLog
    data_set: DataSet
    work: Path

    def __post_init__(self) -> None:
        """Sets up what is kept."""
        self.teacher = lru_cache(2)(self._teacher)
        self.rows = lru_cache(4)(self._rows)

    def run(self, run: Run) -> dict[str, Any]:
        """Trains a VM and judges it; returns figures by name."""
        arm = ARMS[run.arm]
        transfer = Transfer(**asdict(run.distilling))
        if arm.distillation == "auxiliary":  # which head, the tuning may say otherwise
            arm = replace(arm, distillation=transfer.distillation_head)
        hyperparameters = HYPERPARAMETERS[run.kind] | {"history_encoder": run.encoder}
        settings = self.config.vertical_model.changed(architecture=run.kind, hyperparameters=hyperparameters)
        student = Student(settings, transfer, arm, self.log.features.num_embeddings, self.log.history_ids)
        first, end, last = self.data_set.cut, self.data_set.test, len(self.log.days) - 1
        if run.validation:
            end, last = end - 1, end
        learn, judge = self.log.rows(run.vertical, first, end), self.log.rows(run.vertical, end, last)
        rows = self.rows(
            run.vertical, arm.codes, run.seed, run.size, run.stale, run.codes, run.code_dim, run.code_bits, run.slots,
            run.delay_s, run.control,
        )  # fmt: skip
        if run.features == "lean":
            counts = set(self.log.counts)
            kept = [n for n, name in enumerate(self.log.features.dense) if name not in counts]
            rows = replace(rows, dense=rows.dense[:, kept])
        what = f"{run.vertical} {run.kind} {run.arm}, seed {run.seed}"
        network = student.fit(rows.part(slice(0, len(learn))), seed=run.seed, what=what).network
        judged = rows.part(slice(len(learn), len(learn) + len(judge)))
        probabilities = predict(network, judged)
        labels = self.log.impressions.labels.numpy()[judge]
        figures: dict[str, Any] = evaluate(labels, probabilities, users=self.log.users[judge]).as_dict()
        teachers = self.teacher(run.size, run.seed)
        others = {"fm": self._soft_labels(run, teachers), "fm_frozen": teachers.frozen, "truth": self.log.truth}
        figures["ne_by_day"] = self._by_day(judge, labels, probabilities)
        for name, predicted in others.items():
            if predicted is not None:
                figures[f"{name}_ne"] = evaluate(labels, predicted.numpy()[judge]).ne
                figures[f"{name}_ne_by_day"] = self._by_day(judge, labels, predicted.numpy()[judge])
        cold = ~(judged.slots.positions >= 0).any(dim=1).numpy()
        for name, of in (("cold", cold), ("warm", ~cold)):
            figures[f"{name}_rows"] = int(of.sum())
            figures[f"{name}_log_loss"] = evaluate(labels[of], probabilities[of]).log_loss
        return figures

    def _by_day(self, judge: Ints, labels: np.ndarray, probabilities: np.ndarray) -> dict[str, float]:
        """Computes the NE of each judged day, by its number."""
        days = self.log.day_of[judge]
        return {str(n): evaluate(labels[days == n], probabilities[days == n]).ne for n in np.unique(days)}

    def _teacher(self, size: str, seed: int) -> Teacher:
        path = self.work / f"teacher_{size}_{seed}.pt"
        if not path.exists():
            made = teacher(self.config, self.day, self.log, size=size, seed=seed, cut=self.data_set.cut)
            made.save(path)
        return Teacher.load(path)

    def _soft_labels(self, run: Run, teachers: Teacher) -> Tensor:
        return teachers.frozen if run.stale == "frozen" else teachers.aged[run.stale]

    def _rows(
        self,
        vertical: str,
        kind: str,
        seed: int,
        size: str,
        stale: int | str,
        code_source: str,
        width: int,
        bits: int,
        length: int,
        delay_s: int,
        control: str,
    ) -> VerticalRows:
        """Builds the rows of a vertical from the cut on."""
        log, cut = self.log, self.data_set.cut
        rows = log.rows(vertical, cut, len(log.days) - 1)
        teachers = self.teacher(size, seed)
        soft = teachers.frozen if stale == "frozen" else teachers.aged[int(stale)]
        codes = torch.zeros(len(log.users), 0)
        if kind == "codes":
            codes = _served(teachers.codes[code_source], width, bits)
        elif kind == "soft_labels":
            codes = torch.logit(soft, eps=1e-6).nan_to_num(0.0).unsqueeze(1)
        clicked = self.config.source.history_events == "clicked"
        histories = log.histories(length=length, since=cut, delay_us=delay_s * 1_000_000, clicked=clicked)
        slots = histories.slots(log.users[rows], log.impressions.micros[rows])
        if control == "other_user":
            slots = slots.part(_of_another_user(log.users[rows]))
        if control == "shuffled_codes":
            since_cut = torch.from_numpy(np.flatnonzero(log.day_of >= cut))
            codes = codes.clone()
            codes[since_cut] = codes[
                since_cut[torch.randperm(len(since_cut), generator=torch.Generator().manual_seed(seed))]
            ]
        item_codes = histories.item_codes(codes, log.items[rows], log.midnights(rows))
        if control == "current_code":
            codes = _served(teachers.codes["daily"], width, bits)
            item_codes = codes[torch.from_numpy(rows)]
            slots = Slots(torch.full_like(slots.positions, -1), torch.zeros_like(slots.ages))
        row_index = torch.from_numpy(rows)
        labels = log.impressions.labels[row_index]
        return VerticalRows(
            log.sparse[row_index],
            log.dense[row_index],
            labels,
            soft[row_index],
            log.impressions,
            codes,
            item_codes,
            slots,
        )


def _served(codes: Tensor, width: int, bits: int) -> Tensor:
    """Returns codes as they come back from the feature store; with 32 bits they are only cut."""
    cut = codes[:, :width].contiguous()
    return cut if bits == 32 else torch.from_numpy(stored(cut.numpy(), bits))


def _of_another_user(users: Ints) -> Tensor:
    """Finds for each row, in order of time, the newest earlier row of another user; the first rows keep their own."""
    changes = np.flatnonzero(np.append(True, users[1:] != users[:-1]))  # where a run of one user's rows starts
    start_of_run = changes[np.searchsorted(changes, np.arange(len(users)), side="right") - 1]
    return torch.from_numpy(np.maximum(start_of_run - 1, 0))
