"""Runs of a study are made once, and kept beside its result."""

import argparse
import json

import pytest

from benchmarks.studies import kept_runs as module
from benchmarks.studies.bo_gap import Run
from benchmarks.studies.kept_runs import kept_runs, make_runs

PLANNED = [Run("branin", method, seed) for seed in (0, 1) for method in ("ei", "random")]


@pytest.fixture
def study(tmp_path, monkeypatch):
    """Makes runs in a work folder of some name, and says which."""
    monkeypatch.setattr(module, "FOLDER", tmp_path / "tables")

    def make(work, planned=PLANNED, **options):
        a = {"quick": False, "report": False, "minutes": float("inf")} | options
        made = []

        def run(one):
            made.append(one)
            return {"gap": 1 / 3, "of": {"10": 2 / 3}}

        return make_runs(argparse.Namespace(work=tmp_path / work, **a), "study", planned, run), made

    return make


def kept(tmp_path):
    return [json.loads(line) for line in (tmp_path / "tables" / "study_runs.jsonl").read_text().splitlines()]


def test_a_study_goes_on_from_the_runs_that_are_kept(study, tmp_path):
    rows, made = study("here", PLANNED[1:3])
    assert made == PLANNED[1:3] and [row["method"] for row in rows] == ["random", "ei"]
    # in the order of their names
    assert kept(tmp_path)[0] == PLANNED[2].key | {
        "gap": 0.333333,
        "of": {"10": 0.666667},
    }
    assert {row["gap"] for row in rows} == {0.333333}  # figures are those of the kept runs
    rows, made = study("elsewhere")
    assert made == [PLANNED[0], PLANNED[3]] and len(rows) == 4
    assert [(row["method"], row["seed"]) for row in kept(tmp_path)] == [
        ("ei", 0),
        ("ei", 1),
        ("random", 0),
        ("random", 1),
    ]
    assert len(study("elsewhere", report=True)[0]) == 4 and study("here", report=True)[1] == []


def test_a_quick_look_uses_and_keeps_nothing(study, tmp_path):
    study("here", PLANNED[:1])
    rows, made = study("here", quick=True)
    assert made == PLANNED == study("here", quick=True)[1] and len(rows) == 4
    assert len(kept(tmp_path)) == 1


def test_nothing_is_kept_where_nothing_was_made(study, tmp_path):
    assert study("here", report=True) == ([], []) and not (tmp_path / "tables").exists()


def test_what_a_stopped_study_has_made_is_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "FOLDER", tmp_path / "tables")
    a = argparse.Namespace(work=tmp_path / "here", quick=False)
    with pytest.raises(KeyboardInterrupt), kept_runs(a, "study", ("seed",)) as path:
        path.write_text('{"seed": 3}\n')
        raise KeyboardInterrupt
    assert kept(tmp_path) == [{"seed": 3}]
