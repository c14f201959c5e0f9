"""The transfer study from a small log to its figures: what a run reads, learns and is judged on; planted leaks show."""

from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from benchmarks.studies.transfer_study.__main__ import _tuned
from benchmarks.studies.transfer_study.execute import Study
from benchmarks.studies.transfer_study.log import study_log
from benchmarks.studies.transfer_study.page import _data_set
from benchmarks.studies.transfer_study.plan import HEADLINE, HYPERPARAMETERS, TUNING, DataSet, Run
from benchmarks.studies.transfer_study.results import Results, figures
from config import Transfer
from data.batches.encoding import hash_ids
from data.codes import decode, encode
from quality.metrics import evaluate
from search.trials import execute
from tests.naive_features import Event
from tests.study_log import DAY, DAYS, midnight, study_config, write_log
from training.vertical.arm import Arm
from training.vertical.rows import VerticalRows
from training.vertical.student import Student, predict

CUT, TEST = 2, 4
VERTICALS = ("feed", "search", "video")
SLOTS, WIDTH, BITS = 5, 16, 8


@dataclass(frozen=True)
class Made:
    study: Study
    events: list[Event]  # in order of time

    def rows(self, vertical: str, **changed: Any) -> VerticalRows:
        asked = {"kind": "codes", "stale": 0, "code_source": "daily", "delay_s": 0, "control": ""} | changed
        return self.study.rows(
            vertical, asked["kind"], 0, "medium", asked["stale"], asked["code_source"], WIDTH, BITS, SLOTS,
            asked["delay_s"], asked["control"],
        )  # fmt: skip

    def of(self, vertical: str, first: int = CUT, last: int = DAYS) -> list[Event]:
        """A vertical's events on days first to last - 1."""
        start, end = (midnight(self.study.config, n) for n in (first, last))
        return [e for e in self.events if e["vertical"] == vertical and start <= e["event_timestamp"] < end]

    def places(self, events: list[Event]) -> list[int]:
        """Positions of events in the study's log, which is by user, then time."""
        return [self.place[e["impression_id"]] for e in events]

    @cached_property
    def place(self) -> dict[str, int]:
        ordered = sorted(self.events, key=lambda e: (e["user_id"], e["event_timestamp"], e["impression_id"]))
        return {e["impression_id"]: n for n, e in enumerate(ordered)}


def made(folder: Path, **how: Any) -> Made:
    config = study_config(folder)
    events = write_log(config, **how)
    return Made(Study(config, DAY, study_log(config, DAY), DataSet(cut=CUT, test=TEST), folder), events)


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Made:
    torch.set_num_threads(1)
    return made(tmp_path_factory.mktemp("study"))


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory, one: Made) -> Made:
    """The same log, had all gone otherwise from noon of day 4 on."""
    noon = midnight(one.study.config, 4) + timedelta(hours=12)
    return made(tmp_path_factory.mktemp("other_future"), otherwise_from=noon)


@pytest.mark.parametrize(
    "asked",
    [
        *({"stale": stale} for stale in (0, 1, 3, "frozen")),
        *({"code_source": source} for source in ("unaligned", "frozen")),
        {"kind": "soft_labels"},
        {"control": "other_user"},
        {"control": "current_code"},
    ],
    ids=str,
)
def test_nothing_that_a_run_reads_depends_on_what_comes_later(one: Made, other: Made, asked: dict[str, Any]):
    noon = midnight(one.study.config, 4) + timedelta(hours=12)
    for vertical in VERTICALS:
        before = sum(e["event_timestamp"] < noon for e in one.of(vertical))
        read = []
        for rows in (made.rows(vertical, **asked) for made in (one, other)):
            batch = rows.batch()
            read.append([batch.sparse, batch.dense, rows.soft_labels, rows.labels, *batch.history])
        assert len(read[0][0]) > before + 20
        for real, otherwise in zip(*read, strict=True):
            assert torch.allclose(real[:before].float(), otherwise[:before].float(), atol=1e-6, equal_nan=True)
        assert not torch.equal(read[0][0][before:], read[1][0][before:])


def served(codes: torch.Tensor) -> torch.Tensor:
    packed = encode(codes[:, :WIDTH].contiguous().numpy(), BITS).tobytes()
    return torch.from_numpy(decode(packed, width=WIDTH, bits=BITS))


@pytest.mark.parametrize("delay_s", [0, 7200])
def test_a_history_is_the_users_newest_impressions_since_the_cut_and_before_the_row(one: Made, delay_s: int):
    codes = served(one.study.teacher("medium", 0).codes["daily"])
    since, num_items = midnight(one.study.config, CUT), one.study.log.features.num_embeddings["item_id"]
    history = one.rows("feed", delay_s=delay_s).batch().history
    slots = 0
    for n, row in enumerate(one.of("feed")):
        until = row["event_timestamp"] - timedelta(seconds=delay_s)
        past = [e for e in one.events if e["user_id"] == row["user_id"] and since <= e["event_timestamp"] < until]
        past = past[-SLOTS:][::-1]
        assert history.mask[n].tolist() == [True] * len(past) + [False] * (SLOTS - len(past))
        if past:
            filled = slice(0, len(past))
            ids = hash_ids(pa.array([e["item_id"] for e in past]), num_items)
            assert history.ids[n, filled, 0].tolist() == ids.tolist()
            assert history.labels[n, filled].tolist() == [e["label"] for e in past]
            hours = [(row["event_timestamp"] - e["event_timestamp"]) / timedelta(hours=1) for e in past]
            assert np.allclose(history.ages[n, filled], np.log1p(hours), atol=1e-5)
            assert torch.equal(history.codes[n, filled], codes[one.places(past)])
        slots += len(past)
    assert slots > 200


@pytest.mark.parametrize("delay_s", [0, 7200])
def test_an_items_mean_code_is_that_of_its_impressions_until_yesterday(one: Made, delay_s: int):
    codes = served(one.study.teacher("medium", 0).codes["daily"])
    since, found = midnight(one.study.config, CUT), one.rows("feed", delay_s=delay_s).item_codes
    for n, row in enumerate(one.of("feed")):
        today = row["event_timestamp"].replace(hour=0, minute=0, second=0, microsecond=0)
        until = today - timedelta(seconds=delay_s)
        past = [e for e in one.events if e["item_id"] == row["item_id"] and since <= e["event_timestamp"] < until]
        expected = codes[one.places(past)].mean(dim=0) if past else torch.zeros(WIDTH)
        assert torch.allclose(found[n], expected, atol=1e-6)


def test_a_soft_label_is_of_an_fm_that_learnt_as_many_days_as_its_age_says(one: Made):
    teacher, day_of = one.study.teacher("medium", 0), one.study.log.day_of
    assert torch.isnan(teacher.frozen).numpy().tolist() == (day_of < CUT).tolist()
    # The frozen FM learnt the days before the cut: on the cut's day it is the daily one, n days on the one n days old.
    for age, said in teacher.aged.items():
        on = torch.from_numpy(day_of == CUT + age)
        assert torch.allclose(said[on], teacher.frozen[on], atol=1e-6)
        later = torch.from_numpy(day_of > CUT + age)
        assert not later.any() or not torch.allclose(said[later], teacher.frozen[later], atol=1e-4)
    at_cut = torch.from_numpy(day_of == CUT)
    assert torch.equal(teacher.codes["daily"][at_cut], teacher.codes["frozen"][at_cut])
    drifted = torch.from_numpy(day_of == DAYS - 1)
    apart = {name: (teacher.codes[name] - teacher.codes["frozen"])[drifted].norm() for name in ("daily", "unaligned")}
    assert 0 < apart["daily"] < apart["unaligned"]  # turned to the first day's, codes lie nearer to them


PLANS = {
    "none": (Run("feed", "dnn", "none", 0, slots=SLOTS, code_dim=WIDTH), Arm()),
    "loopfm_ah": (
        Run("feed", "dnn", "loopfm_ah", 1, slots=SLOTS, code_dim=WIDTH, stale=1),
        Arm("auxiliary", codes="codes", ids="item"),
    ),
}


@pytest.mark.parametrize("validation", [False, True])
@pytest.mark.parametrize("arm", PLANS)
def test_a_run_learns_the_days_after_the_cut_and_is_judged_on_those_after_them(one: Made, arm: str, validation: bool):
    study, (run, parts) = one.study, PLANS[arm]
    first, end, last = (CUT, TEST - 1, TEST) if validation else (CUT, TEST, DAYS)
    learn, judge = one.of("feed", first, end), one.of("feed", end, last)
    rows = study.rows("feed", parts.codes, run.seed, "medium", run.stale, "daily", WIDTH, BITS,
                      SLOTS, 0, "")  # fmt: skip
    hyperparameters = HYPERPARAMETERS[run.kind] | {"history_encoder": "target_attention"}
    settings = study.config.vertical_model.changed(hyperparameters=hyperparameters)
    student = Student(settings, Transfer(), parts, study.log.features.num_embeddings, ("item_id",))
    network = student.fit(rows.part(slice(0, len(learn))), seed=run.seed, what="test").network
    judged = rows.part(slice(len(learn), len(learn) + len(judge)))
    said, labels = predict(network, judged), np.array([e["label"] for e in judge])

    found = study.run(replace(run, validation=validation))
    assert found["ne"] == pytest.approx(evaluate(labels, said).ne, abs=1e-9)
    assert found["rows"] == len(judge)
    days = np.array([(e["event_timestamp"] - midnight(study.config, 0)).days for e in judge])
    assert found["ne_by_day"] == pytest.approx(
        {str(d): evaluate(labels[days == d], said[days == d]).ne for d in range(end, last)}, abs=1e-9
    )
    fm = study.teacher("medium", run.seed).aged[run.stale].numpy()[one.places(judge)]
    assert found["fm_ne"] == pytest.approx(evaluate(labels, fm).ne, abs=1e-9)
    since = midnight(study.config, CUT)
    cold = np.array([
        not any(e["user_id"] == row["user_id"] and since <= e["event_timestamp"] < row["event_timestamp"]
                for e in one.events)
        for row in judge
    ])  # fmt: skip
    assert (found["cold_rows"], found["warm_rows"]) == (cold.sum(), (~cold).sum())
    assert 0 < found["cold_rows"] < found["warm_rows"]
    assert found["cold_log_loss"] == pytest.approx(evaluate(labels[cold], said[cold]).log_loss, abs=1e-9)
    assert found["warm_log_loss"] == pytest.approx(evaluate(labels[~cold], said[~cold]).log_loss, abs=1e-9)


def test_a_leak_in_the_window_counts_shows_in_the_shipped_features_and_not_in_the_lean_ones(one: Made):
    log = one.study.log
    counts = [n for n, name in enumerate(log.features.dense) if name in log.counts]
    dense = log.dense.clone()
    dense[:, counts] = log.impressions.labels.unsqueeze(1)
    leaky = replace(one.study, log=replace(log, dense=dense))
    shipped, lean = Run("feed", "dnn", "none", 0), Run("feed", "dnn", "none", 0, features="lean")
    assert leaky.run(shipped)["ne"] < one.study.run(shipped)["ne"] - 0.3
    assert leaky.run(lean) == one.study.run(lean)


def test_a_leak_of_the_label_into_the_log_shows_only_where_the_arm_reads_it(one: Made):
    """Each impression's code tells its own click: the control that reads the current code must be seen to cheat."""
    teacher = one.study.teacher("medium", 0)
    telling = torch.where(one.study.log.impressions.labels.bool().unsqueeze(1), 0.9, -0.9).expand(-1, 32).contiguous()
    leaky = replace(one.study)
    leaky.teacher = lambda size, seed: replace(teacher, codes=dict.fromkeys(teacher.codes, telling))
    honest, cheating = (Run("feed", "dnn", "loopfm", 0, control=control) for control in ("", "current_code"))
    assert leaky.run(cheating)["ne"] < leaky.run(honest)["ne"] - 0.3
    assert leaky.run(Run("feed", "dnn", "raw", 0)) == one.study.run(Run("feed", "dnn", "raw", 0))


def test_a_study_runs_from_its_plan_to_its_page(one: Made, tmp_path: Path):
    file = tmp_path / "runs.jsonl"
    planned = [Run(v, "dnn", arm, 0, features=f) for f in ("shipped", "lean") for v in VERTICALS for arm in HEADLINE]
    planned += [Run(v, "dnn", "ah", 0, distilling=TUNING[n], validation=True) for v in VERTICALS for n in (0, 7, 15)]

    def go(runs: list[Run]) -> list[dict[str, Any]]:
        execute(runs, file, one.study.run, total=len(runs), describe=str)
        return Results.read(file).rows

    rows = go(planned)
    assert len(rows) == len(planned) and go(planned) == rows  # nothing is done twice
    tuned = list(_tuned(file, 1))
    rows = go(planned + tuned)
    for vertical in VERTICALS:
        searched = {r["ne"]: r["distilling"] for r in rows if r["validation"] and r["vertical"] == vertical}
        chosen = [run.key["distilling"] for run in tuned if run.vertical == vertical]
        assert chosen == [searched[min(searched)]] * 3

    found = figures(Results(rows))
    ne = {(r["vertical"], r["arm"]): r["ne"] for r in rows[: len(planned) // 2] if r["features"] == "shipped"}
    gained = np.mean([ne[v, "none"] - ne[v, "loopfm_ah"] for v in VERTICALS])
    assert found["gain_over_none"]["dnn"]["loopfm_ah"]["mean"] == pytest.approx(gained, abs=1e-5)
    assert {v: found["by_vertical"][v]["rows"] for v in VERTICALS} == {v: len(one.of(v, TEST)) for v in VERTICALS}
    assert "kd" in found["tuned"] and found["lean"]["gain_over_none"]
    assert "| LoopFM + AH |" in "\n".join(_data_set("synthetic", {"figures": found, "command": "made up"}))


def test_a_seed_decides_the_figures_of_a_run(one: Made):
    run = Run("feed", "dnn", "none", 0)
    again = replace(one.study)  # nothing is kept of the first
    assert one.study.run(run) == again.run(run)
    assert one.study.run(run)["ne"] != one.study.run(replace(run, seed=1))["ne"]
