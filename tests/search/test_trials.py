import json
from dataclasses import asdict, dataclass

import pytest

from search.trials import execute, finished, finished_of


@dataclass(frozen=True)
class Run:
    arm: str
    seed: int

    @property
    def key(self):
        return asdict(self)


PLANNED = [Run(arm, seed) for seed in range(2) for arm in ("a", "b")]


def executed(path, *, run, minutes=float("inf"), planned=PLANNED):
    execute(planned, path, run, total=len(planned), describe=str, minutes=minutes)


def test_a_study_goes_on_with_the_runs_that_are_missing(tmp_path):
    path, made = tmp_path / "runs.jsonl", []

    def run(one):
        if len(made) == 2:
            raise KeyboardInterrupt
        made.append(one)
        return {"ne": 0.5}

    with pytest.raises(KeyboardInterrupt):
        executed(path, run=run)
    assert [(row["arm"], row["seed"]) for row in finished(path)] == [("a", 0), ("b", 0)]
    executed(path, run=lambda one: {"ne": 0.6})
    assert [(row["arm"], row["seed"], row["ne"]) for row in finished(path)] == [
        ("a", 0, 0.5),
        ("b", 0, 0.5),
        ("a", 1, 0.6),
        ("b", 1, 0.6),
    ]
    executed(path, run=lambda one: pytest.fail(f"{one} was made again"))


def test_what_a_file_has_of_a_smaller_plan(tmp_path):
    path = tmp_path / "runs.jsonl"
    executed(path, run=lambda one: {"ne": 0.5})
    found = [(row["arm"], row["seed"]) for row in finished_of([Run("b", 0), Run("a", 1), Run("c", 1)], path)]
    assert found == [("b", 0), ("a", 1)]


def test_no_run_begins_after_the_deadline(tmp_path):
    executed(tmp_path / "runs.jsonl", run=lambda one: {"ne": 0.5}, minutes=-1)
    assert finished(tmp_path / "runs.jsonl") == []


def test_a_plan_may_depend_on_the_runs_before(tmp_path):
    path = tmp_path / "runs.jsonl"

    def planned():
        yield Run("a", 0)
        yield Run(finished(path)[0]["best"], 0)

    execute(planned(), path, lambda one: {"best": "c"}, total=2, describe=str)
    assert [row["arm"] for row in finished(path)] == ["a", "c"]


def test_a_planned_run_is_made_once(tmp_path):
    executed(tmp_path / "runs.jsonl", run=lambda one: {}, planned=[Run("a", 0), Run("a", 0)])
    assert len(finished(tmp_path / "runs.jsonl")) == 1


def test_a_figure_that_is_not_finite_is_kept_as_null(tmp_path):
    path = tmp_path / "runs.jsonl"
    executed(path, run=lambda one: {"gauc": float("nan")}, planned=PLANNED[:1])
    assert json.loads(path.read_text())["gauc"] is None
