"""Searches by shared weights through their jobs: parts, what they read, kill and resume, screeners."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pytest

import storage
from config import PlatformConfig
from jobs import plan_search, share_weights
from search import shared_weights
from search.asking import claim
from search.screeners import score
from search.shared_weights import SCREENERS, SharedWeights, learnt_dates
from search.study import Study
from search.supernet.one_shot import OneShot
from search.targets import load_study
from tests.study_log import DAY, DAYS, study_config, write_log

SMALL: dict[str, Any] = {"trials": 2, "later_days": 1, "judged_days": 1, "blocks": 1, "cost_cap": float("inf")}


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PlatformConfig:
    """Two platform days: one of five dates, and one more."""
    whole = study_config(tmp_path)
    write_log(whole)
    examples = storage.read_partition(whole, "examples", DAY)
    config = whole.changed(sources={"synthetic": {"bootstrap_days": DAYS - 1}})
    for day in storage.platform_days(config)[:2]:
        start, end = storage.day_window(config, day)
        times = examples["event_timestamp"]
        of_day = pc.and_(pc.greater_equal(times, start), pc.less(times, end))
        storage.write_partition(config, "examples", day, examples.filter(of_day))
    monkeypatch.setitem(shared_weights.PROPOSERS, "one_shot", lambda: OneShot(scored=12, population=6, tournament=3))
    return config


def planned(config: PlatformConfig, **options: Any) -> tuple[Study, list[str]]:
    plan = plan_search.main(config, **SMALL | options)
    return load_study(config, plan["study"]), plan["parts"]


def test_one_shot_reads_no_judged_date_and_its_models_are_the_trials(config: PlatformConfig) -> None:
    study, parts = planned(config, sampler="one_shot")
    assert parts == ["whole"]
    shared = SharedWeights(config, study)
    with pytest.raises(FileNotFoundError, match=r"has not learnt 'whole' yet: python -m jobs share_weights --study"):
        claim(config, study, lease_s=60)
    assert learnt_dates(config, study.settings) == [f"2026-01-0{n}" for n in range(1, 5)]
    times = {
        what: [batch.keys["event_timestamp"] for day in days for batch in day]
        for what, days in (("learnt", shared.log.days), ("chosen", [shared.log.validation]))
    }
    starts = storage.date_starts(config, study.settings.days)
    assert max(pc.max(of).as_py() for of in times["learnt"]) < starts[3]
    assert starts[3] <= min(pc.min(of).as_py() for of in times["chosen"])
    assert max(pc.max(of).as_py() for of in times["chosen"]) < starts[4]

    found = share_weights.main(config, study=study.name, part="whole")
    assert found["compute"] > 0 and study.shared_flops == found["compute"]
    path = study.folder / "shared_weights" / "whole.json"
    before = path.stat().st_mtime_ns
    assert share_weights.main(config, study=study.name, part="whole") == found and path.stat().st_mtime_ns == before
    asked = []
    while (record := claim(config, study, lease_s=60)) is not None:
        study.end(record, "failed", seconds=1.0)
        asked.append(record.trial.params)
    assert asked == shared.proposed()[:2]
    # Learnt again from nothing, it finds the same.
    path.unlink()
    assert shared.learn("whole")["models"][:2] == asked
    # What it took counts.
    spent, _ = planned(config, sampler="one_shot", trials=9, flops=found["compute"] / 2)
    assert claim(config, spent, lease_s=60) is None


def test_dist_dnas_has_a_part_for_each_date_and_those_that_are_there_stay(
    config: PlatformConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, parts = planned(config, sampler="dist_dnas")
    assert parts == [f"2026-01-0{n}" for n in range(1, 5)]
    for part in parts[:2]:
        share_weights.main(config, study=study.name, part=part)
    kept = {path.name: path.read_text() for path in (study.folder / "shared_weights").iterdir()}
    for part in parts:
        share_weights.main(config, study=study.name, part=part)
    after = {path.name: path.read_text() for path in (study.folder / "shared_weights").iterdir()}
    assert len(after) == 4 and kept.items() <= after.items() and len(set(after.values())) == 4
    record = claim(config, study, lease_s=60)
    assert record is not None and record.trial.params == SharedWeights(config, study).proposed()[0]
    with pytest.raises(ValueError, match=r"has no part 'whole'; it has 2026-01-01, 2026-01-02"):
        share_weights.main(config, study=study.name, part="whole")


@pytest.mark.parametrize("screener", SCREENERS[1:])
def test_a_screener_keeps_what_scores_best(config: PlatformConfig, screener: str) -> None:
    study, parts = planned(config, sampler="random", screener=screener)
    assert parts == (["warm"] if screener == "sigeo" else [])
    for part in parts:
        share_weights.main(config, study=study.name, part=part)
    shared = SharedWeights(config, study)
    models = [study.space.sample(np.random.default_rng(n)) for n in range(4)]
    scores = score(shared, screener, models)
    assert np.isfinite(scores).all() and len(set(scores)) > 1
    np.testing.assert_array_equal(scores, score(SharedWeights(config, study), screener, models))
    if screener == "flops":
        assert scores[0] != scores[1]
    first = claim(config, study, lease_s=60)
    plain, _ = planned(config, sampler="random", study="plain")
    unscreened = claim(config, plain, lease_s=60)
    assert first is not None and unscreened is not None
    pair = score(shared, screener, [first.trial.params, unscreened.trial.params])
    assert pair[0] >= pair[1]


@pytest.mark.parametrize("screener", SCREENERS[1:])
def test_only_weights_that_were_learnt_judge_a_model_by_another(config: PlatformConfig, screener: str) -> None:
    study, parts = planned(config, sampler="random", screener=screener)
    for part in parts:
        share_weights.main(config, study=study.name, part=part)
    drawn = study.space.sample(np.random.default_rng(0)) | {"tokens_1": "lcb+fmb", "tokens_out": True, "asks": 0}
    models = [drawn, drawn | {"asks": 8}, drawn | {"tokens_1": "ensemble"}]
    alone, asks, ensemble = score(SharedWeights(config, study), screener, [study.space.canonical(m) for m in models])
    assert (alone == asks == ensemble) if screener == "sigeo" else len({alone, asks, ensemble}) == 3


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"sampler": "dnas", "target": "feed"}, "dnas knows foundation models only"),
        ({"sampler": "random", "screener": "zico", "target": "feed"}, "zico knows foundation models only"),
        ({"sampler": "random", "screener": "taste"}, "unknown screener 'taste'; there are none, sigeo"),
        ({"sampler": "one_shot", "screener": "flops"}, "one_shot proposes models by itself: a screener, here flops"),
        ({"sampler": "one_shot", "judged_days": 4}, "one_shot needs two dates at least before the 4"),
        ({"sampler": "random", "from_study": "none"}, "no search is named none"),
        ({"sampler": "random", "from_study": "me", "study": "me"}, "the search me cannot begin with itself"),
    ],
)
def test_what_cannot_share_weights_is_refused(config: PlatformConfig, options: dict[str, Any], said: str) -> None:
    with pytest.raises((ValueError, FileNotFoundError), match=said):
        planned(config, **options)
    assert not list(storage.studies_dir(config).glob("*/study.json"))
