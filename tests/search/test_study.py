"""A search in its folder: questions, answers, budgets, workers that die, and names that are taken."""

import json
import os
import socket
import time
from dataclasses import replace
from datetime import date
from typing import Any

import numpy as np
import pytest

from config import PlatformConfig
from search.choices import Categorical
from search.samplers import SAMPLERS
from search.space import Space
from search.study import MOST_ATTEMPTS, Budget, Record, Study, StudyDiffers, StudySettings, best, study_names
from search.trial import FALLBACK, Ask, Question

SPACE = Space((Categorical("a", tuple(range(12))), Categorical("b", tuple(range(12)))))
SETTINGS = StudySettings(
    source="synthetic", sampler="random", days=[date(2026, 1, 2)], later_days=[date(2026, 1, 3)], judged_days=1
)


def open_study(config: PlatformConfig, *, trials: int = 6, name: str = "one", **changed: Any) -> Study:
    budget = {key: changed.pop(key) for key in ("seconds", "flops") if key in changed}
    settings = SETTINGS.changed(**changed)
    return Study.open(config, name, settings, Budget(trials=trials, **budget), lambda of: SPACE)


def in_order(question: Question) -> list[Ask]:
    """Asks for what has not been tried, in order."""
    tried = {tuple(trial.params.values()) for trial in question.history}
    left = [params for params in SPACE.everything() if tuple(params.values()) not in tried]
    return [Ask(params) for params in left[: question.count]]


def finish(study: Study, record: Record | None, ne: float, **kept: Any) -> Record:
    assert record is not None
    return study.end(record, "done", objective=ne, seconds=2.0, curve=(0.9, ne), **kept)


def test_a_trial_is_asked_trained_and_remembered(tiny_config: PlatformConfig) -> None:
    study = open_study(tiny_config)
    ended = finish(study, study.claim(in_order, lease_s=60), 0.8, rows=10, figures={"ne": 0.8})
    assert study.records() == [ended]
    again = Study.load(tiny_config, "one", lambda of: SPACE)
    assert (again.settings, again.budget, again.records()) == (study.settings, study.budget, [ended])
    assert study_names(tiny_config) == ["one"]


def test_no_two_workers_train_the_same(tiny_config: PlatformConfig) -> None:
    study = open_study(tiny_config)
    first = study.claim(in_order, lease_s=60)
    assert first is not None
    # The first is under way in another living process.
    study._write(replace(first, worker=f"{socket.gethostname()} {os.getppid()}"))
    second = study.claim(in_order, lease_s=60)
    assert second is not None and second.trial.number == 1 and second.key != first.key


def test_a_trial_whose_worker_died_is_taken_up_under_its_number(tiny_config: PlatformConfig) -> None:
    study = open_study(tiny_config)
    first = study.claim(in_order, lease_s=60)
    assert first is not None
    study._write(replace(first, worker=f"{socket.gethostname()} 4194303"))
    again = study.claim(in_order, lease_s=60)
    assert again is not None and again.attempts == 2
    assert (again.trial.number, again.key) == (first.trial.number, first.key)
    # It kills its workers: it has failed, and the next one is another.
    study._write(replace(again, worker=f"{socket.gethostname()} 4194303"))
    other = study.claim(in_order, lease_s=60)
    assert other is not None and other.trial.number == 1
    assert study.records()[0].trial.status == "failed"
    assert f"died in each of {MOST_ATTEMPTS} attempts" in study.records()[0].error


def test_a_trial_that_was_given_back_is_as_if_it_had_not_begun(tiny_config: PlatformConfig) -> None:
    study = open_study(tiny_config)
    for _ in range(2 * MOST_ATTEMPTS):
        claimed = study.claim(in_order, lease_s=60)
        assert claimed is not None and (claimed.trial.number, claimed.attempts) == (0, 1)
        study.give_back(claimed)
    ended = finish(study, claimed, 0.8)
    study.give_back(claimed)  # too late
    assert study.records() == [ended]


def test_a_worker_elsewhere_is_given_up_when_its_lease_is_over(tiny_config: PlatformConfig) -> None:
    study = open_study(tiny_config)
    first = study.claim(in_order, lease_s=60)
    assert first is not None
    for lease_until, number in ((time.time() + 60, 1), (time.time() - 1, 0)):
        study._write(replace(first, worker="elsewhere 1", lease_until=lease_until))
        claimed = study.claim(in_order, lease_s=60)
        assert claimed is not None and claimed.trial.number == number
        if number:
            finish(study, claimed, 0.8)


def test_a_search_that_was_killed_asks_what_it_would_have_asked(tiny_config: PlatformConfig) -> None:
    def asked(name: str, stops: set[int]) -> list[str]:
        study = open_study(tiny_config, name=name, trials=8, sampler="evolution")
        keys = []
        for number in range(8):
            if number in stops:  # killed while it trains: what it had claimed is claimed again
                study.claim(SAMPLERS["evolution"](), lease_s=60)
                study = Study.load(tiny_config, name, lambda of: SPACE)
            record = study.claim(SAMPLERS["evolution"](), lease_s=60)
            assert record is not None
            keys.append(finish(study, record, float(np.sin(number)) + 2).key)
        assert study.claim(SAMPLERS["evolution"](), lease_s=60) is None
        return keys

    undisturbed = asked("undisturbed", set())
    assert asked("killed", {0, 3, 7}) == undisturbed
    assert len(set(undisturbed)) == 8


@pytest.mark.parametrize(("budget", "made"), [({}, 6), ({"seconds": 3.0}, 2), ({"flops": 2 * 3 * 10 * 7.0}, 2)])
def test_a_budget_ends_the_search(tiny_config: PlatformConfig, budget: dict[str, float], made: int) -> None:
    study = open_study(tiny_config, **budget)
    while (record := study.claim(in_order, lease_s=60)) is not None:
        trial = replace(record.trial, cost=7.0)
        study.end(replace(record, trial=trial), "failed", seconds=2.0, rows=10)
    assert study.spent() and len(study.records()) == made
    # More trials go on where it was.
    assert len(open_study(tiny_config, trials=7).records()) == made
    assert not open_study(tiny_config, trials=7).spent()


def test_a_trial_that_broke_off_counts_as_if_it_had_learnt_everything(tiny_config: PlatformConfig) -> None:
    study = open_study(tiny_config, flops=3 * 10 * 7.0 + 3 * 10 * 5.0)
    for cost, rows in ((7.0, 10), (5.0, 0)):
        record = study.claim(in_order, lease_s=60)
        assert record is not None and not study.spent()
        trial = replace(record.trial, cost=cost)
        study.end(replace(record, trial=trial), "done" if rows else "diverged", seconds=2.0, rows=rows)
    assert study.claim(in_order, lease_s=60) is None


def test_a_name_belongs_to_one_search(tiny_config: PlatformConfig) -> None:
    open_study(tiny_config)
    with pytest.raises(StudyDiffers, match=r"the search one is another one \(sampler 'random', seed 0\): choose"):
        open_study(tiny_config, sampler="tpe", seed=3)
    with pytest.raises(FileNotFoundError, match="no search is named two; python -m jobs list_studies"):
        Study.load(tiny_config, "two", lambda of: SPACE)


def test_what_was_tried_is_refused_and_drawn_at_random_in_its_place(tiny_config: PlatformConfig) -> None:
    study = open_study(tiny_config)

    def stubborn(question: Question) -> list[Ask]:
        return [Ask({"a": 1, "b": 1}), Ask({"a": 1, "b": 1})]

    first = study.claim(stubborn, lease_s=60, at_once=2)
    assert first is not None and first.trial.params == {"a": 1, "b": 1} and not first.trial.tags
    finish(study, first, 0.8)
    records = study.records()
    assert len({record.key for record in records}) == 2 and records[1].trial.tags == {FALLBACK}
    assert study.refused() == [{"before_trial": 0, "params": {"a": 1, "b": 1}, "reason": "it was tried"}]
    finish(study, study.claim(stubborn, lease_s=60), 0.9)  # the one that waited
    finish(study, study.claim(stubborn, lease_s=60, at_once=2), 0.7)
    finish(study, study.claim(stubborn, lease_s=60), 0.6)
    assert len(study.refused()) == 3 and len({record.key for record in study.records()}) == 4


def test_a_space_that_is_used_up_ends_the_search(tiny_config: PlatformConfig) -> None:
    study = open_study(tiny_config)
    assert study.claim(lambda question: [], lease_s=60) is None


def test_the_best_are_those_that_ended_well(tiny_config: PlatformConfig) -> None:
    study = open_study(tiny_config)
    for ne in (0.9, 0.7, 0.8):
        finish(study, study.claim(in_order, lease_s=60), ne)
    record = study.claim(in_order, lease_s=60)
    assert record is not None
    study.end(record, "diverged", error="NE 7.00")
    assert [one.trial.number for one in best(study.records(), 2)] == [1, 2]


def test_figures_that_are_not_finite_are_kept_as_none(tiny_config: PlatformConfig) -> None:
    study = open_study(tiny_config)
    finish(study, study.claim(in_order, lease_s=60), 0.8, figures={"gauc": float("nan")})
    (path,) = (study.folder / "trials").glob("*.json")
    assert json.loads(path.read_text())["figures"] == {"gauc": None}


def test_trials_asked_together_wait_for_workers(tiny_config: PlatformConfig) -> None:
    study = open_study(tiny_config, trials=5)
    counts = []

    def sampler(question: Question) -> list[Ask]:
        counts.append((question.count, question.remaining, len(question.history)))
        return in_order(question)

    first = study.claim(sampler, lease_s=60, at_once=3)
    assert first is not None and [record.attempts for record in study.records()] == [1, 0, 0]
    finish(study, first, 0.9)
    for number in (1, 2, 3, 4):
        record = study.claim(sampler, lease_s=60, at_once=3)
        assert record is not None and (record.trial.number, record.attempts) == (number, 1)
        finish(study, record, 0.9)
    assert study.claim(sampler, lease_s=60, at_once=3) is None
    assert counts == [(3, 5, 0), (2, 2, 3)]


def test_a_spent_budget_leaves_waiting_trials_unmade(tiny_config: PlatformConfig) -> None:
    study = open_study(tiny_config, seconds=3.0)
    for _ in range(2):
        finish(study, study.claim(in_order, lease_s=60, at_once=6), 0.9)
    assert study.claim(in_order, lease_s=60, at_once=6) is None
    assert [record.trial.status for record in study.records()].count("running") == 4
