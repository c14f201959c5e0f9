"""A search through its jobs: killed, gone on with, concluded; what it leaves for people; what it refuses."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from datetime import date
from html import unescape
from pathlib import Path
from typing import Any

import mlflow
import pyarrow.compute as pc
import pytest
import yaml

import storage
from config import ROOT, PlatformConfig, load_config
from jobs import conclude_search, list_studies, plan_search, run_trial, search_architecture
from search.champion import champion_ne
from search.run_trial import run_next
from search.study import Study, StudyDiffers
from search.targets import inherited, load_study, trials_of
from tests.study_log import DAY, DAYS, study_config, write_log

SMALL: dict[str, Any] = {"trials": 3, "sampler": "random", "later_days": 1, "judged_days": 1, "blocks": 1}
NAME = "small"


@pytest.fixture
def config(tmp_path: Path) -> PlatformConfig:
    """Three platform days: one of four dates, and two more."""
    whole = study_config(tmp_path)
    write_log(whole)
    examples = storage.read_partition(whole, "examples", DAY)
    config = whole.changed(sources={"synthetic": {"bootstrap_days": DAYS - 2}})
    for day in (date(2026, 1, n) for n in range(DAYS - 2, DAYS + 1)):
        start, end = storage.day_window(config, day)
        times = examples["event_timestamp"]
        of_day = pc.and_(pc.greater_equal(times, start), pc.less(times, end))
        storage.write_partition(config, "examples", day, examples.filter(of_day))
    return config


def opened(config: PlatformConfig, name: str = NAME) -> Study:
    return load_study(config, name)


@pytest.mark.e2e
def test_a_search_is_killed_goes_on_and_concludes(config: PlatformConfig, tmp_path: Path) -> None:
    path = tmp_path / "platform.yaml"
    path.write_text(yaml.safe_dump(json.loads(config.model_dump_json())))
    options = {**SMALL, "study": NAME, "cost_cap": "inf"}
    command = [sys.executable, "-m", "jobs", "search_architecture", "--config", str(path)]
    command += [part for key, value in options.items() for part in (f"--{key.replace('_', '-')}", str(value))]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    second = storage.study_dir(config, NAME) / "trials" / "00001.json"
    deadline = time.monotonic() + 120
    while not second.exists() and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.02)
    process.kill()
    process.wait()
    asked = [record.key for record in opened(config).records()]
    assert len(asked) == 2, "killed while the second trial was trained"

    result = search_architecture.main(config, study=NAME, **SMALL, cost_cap=float("inf"), finalists=1, seeds=2)
    records = opened(config).records()
    assert [record.key for record in records][:2] == asked and len({record.key for record in records}) == 3
    assert [record.trial.status for record in records] == ["done"] * 3
    # The sampler asks the same of the same history: an undisturbed search has the same trials.
    plan_search.main(config, study="again", **SMALL, cost_cap=float("inf"))
    other = opened(config, "again")
    trainer = trials_of(config, other)
    for record in records:
        again = run_next(config, other, trainer, limit_s=100)
        assert again is not None and again.key == record.key
        assert again.trial.objective == record.trial.objective
    assert run_trial.main(config, study="again") == {
        "skipped": "the search again has spent its budget, or nothing is left to try"
    }

    _is_concluded(config, result, records)


def _is_concluded(config: PlatformConfig, result: dict[str, Any], records: list[Any]) -> None:
    conclusion = json.loads((storage.study_dir(config, NAME) / "conclusion.json").read_text())
    assert result["verdict"] == conclusion["verdict"]
    best = min(records, key=lambda record: record.trial.objective)
    (finalist,) = conclusion["finalists"]
    assert finalist["model"] == best.key and len(finalist["by_seed"]) == len(conclusion["current"]["by_seed"]) == 2
    assert finalist["difference"]["value"] == pytest.approx(finalist["ne"] - conclusion["current"]["ne"])
    if result["winner"] is not None:
        assert finalist["difference"]["high"] < 0
        assert "+  architecture: " in Path(result["patch"]).read_text()

    page = unescape(Path(result["page"]).read_text())
    assert result["verdict"] in page and page.count("<title>trial ") == 2 * 3  # in both plots
    assert f'href="searches/{NAME}/index.html"' in (storage.docs_dir(config) / "index.html").read_text()
    listed = list_studies.main(config)["studies"][NAME]
    assert listed["trials"] == {"done": 3} and listed["verdict"] == result["verdict"]
    assert listed["best_ne"] == best.trial.objective

    uri = storage.mlflow_tracking_uri(config)
    client = mlflow.MlflowClient(uri, uri)
    experiment = client.get_experiment_by_name("search")
    assert experiment is not None
    runs = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
    for record in records:
        run = runs[f"{NAME} {record.trial.number}"]
        assert run.data.tags["mlflow.parentRunId"] == runs[NAME].info.run_id
        assert run.data.metrics["objective"] == pytest.approx(record.trial.objective)
        assert f"runs/{run.info.run_id}" in page
    assert runs[NAME].data.tags["verdict"] == result["verdict"]


def test_no_trial_sees_the_later_days(config: PlatformConfig) -> None:
    plan_search.main(config, study=NAME, **SMALL)
    study = opened(config)
    assert study.settings.days == [date(2026, 1, DAYS - 2), date(2026, 1, DAYS - 1)]
    assert study.settings.later_days == [date(2026, 1, DAYS)]
    trainer = trials_of(config, study)
    before = storage.day_window(config, study.settings.later_days[0])[0]
    seen = [batch.keys["event_timestamp"] for day in trainer.log._days(config) for batch in day]  # type: ignore[union-attr]
    assert max(pc.max(times).as_py() for times in seen) < before


def test_the_cap_is_what_the_platforms_own_model_costs(config: PlatformConfig) -> None:
    plan_search.main(config, study=NAME, **SMALL)
    study = opened(config)
    trainer = trials_of(config, study)
    current = trainer.train(None, seed=0, what="current")
    assert study.settings.cost_cap == current.figures["flops_per_example"]


def test_active_search_trains_first_what_a_trial_must_be_better_than(config: PlatformConfig) -> None:
    plan_search.main(config, study=NAME, **SMALL | {"sampler": "active_search", "trials": 2}, cost_cap=float("inf"))
    study = opened(config)
    trainer = trials_of(config, study)
    current = trainer.objective(trainer.train(None, seed=0, what="current"))
    for _ in range(2):
        assert run_trial.main(config, study=NAME)["status"] == "done"
        kept = json.loads((study.folder / "champion.json").read_text())
        assert kept["ne"] == pytest.approx(current)
    nes = [record.trial.objective or 0.0 for record in study.records()]
    assert not any(record.trial.tags for record in study.records())
    page = storage.study_page(config, NAME).read_text()
    assert f"{sum(ne < current for ne in nes)} trials (NE below {current:.4f})" in unescape(page)


def test_a_trial_that_goes_wrong_is_a_result(config: PlatformConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    plan_search.main(config, study=NAME, **SMALL)
    study = opened(config)
    trainer = trials_of(config, study)

    def diverges(*args: Any, **kwargs: Any) -> None:
        raise FloatingPointError("the loss is not finite at step 3")

    def slow(*args: Any, **kwargs: Any) -> None:
        time.sleep(60)

    def breaks(*args: Any, **kwargs: Any) -> None:
        raise RuntimeError("out of memory")

    for wrong in (diverges, slow, breaks):
        monkeypatch.setattr(trainer, "train", wrong)
        run_next(config, study, trainer, limit_s=0.2)
    ends = [(record.trial.status, record.error) for record in study.records()]
    assert ends == [
        ("diverged", "the loss is not finite at step 3"),
        ("timed_out", "it took more than 0 s"),
        ("failed", "RuntimeError: out of memory"),
    ]
    with pytest.raises(ValueError, match="the search small has no trial that ended well"):
        conclude_search.main(config, study=NAME)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"sampler": "grid"}, "Unknown sampler 'grid'; there are random"),
        ({"target": "news"}, "unknown target 'news'; synthetic has foundation, feed, search, video"),
        ({"trials": 0}, "trials is 0; it must be 1 at least"),
        ({"cost_cap": 10.0}, "the cost cap of 10 FLOPs is below the smallest model's"),
        ({"later_days": 3}, "3 days of synthetic are done: a search needs one at least before the last 3"),
        (
            {"judged_days": 5},
            "judged_days is 5, and 2026-01-04 to 2026-01-05 cover 5 dates, of which trials",
        ),
    ],
)
def test_what_cannot_be_searched_is_refused(config: PlatformConfig, options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        plan_search.main(config, study=NAME, **{**SMALL, **options})
    assert not storage.study_dir(config, NAME).exists()


def test_a_search_of_another_kind_keeps_its_name(config: PlatformConfig) -> None:
    plan_search.main(config, study=NAME, **SMALL)
    with pytest.raises(StudyDiffers, match="blocks 1"):
        plan_search.main(config, study=NAME, **{**SMALL, "blocks": 2})
    with pytest.raises(FileNotFoundError, match="no search is named other"):
        run_trial.main(config, study="other")
    other_source = load_config(ROOT / "platform.yaml").data_source
    assert other_source != config.data_source


def test_a_search_goes_on_by_its_name_after_further_days(config: PlatformConfig) -> None:
    last = date(2026, 1, DAYS)
    newest = storage.read_partition(config, "examples", last)
    shutil.rmtree(storage.partition_folder(config, "examples", last).parent)
    plan_search.main(config, study=NAME, **SMALL)
    before = opened(config).settings
    assert before.later_days == [date(2026, 1, DAYS - 1)]
    storage.write_partition(config, "examples", last, newest)
    plan = plan_search.main(config, study=NAME, **SMALL | {"trials": 7})
    assert opened(config).settings == before and plan["trials"] == list(range(7))
    # Another search would keep a day on which this one is judged.
    run_trial.main(config, study=NAME)
    with pytest.raises(StudyDiffers, match="later_days"):
        plan_search.main(config, study=NAME, **SMALL | {"later_days": 2})
    plan_search.main(config, study="next", from_study=NAME, **SMALL)
    run_trial.main(config, study="next")
    with pytest.raises(ValueError, match="were judged up to 2026-01-05, and this search keeps 2026-01-05 and later"):
        plan_search.main(config, from_study="next", **SMALL | {"later_days": 2})


def test_a_stopped_trial_is_taken_up_and_does_not_count_as_failed(
    config: PlatformConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan_search.main(config, study=NAME, **SMALL)
    study = opened(config)
    trainer = trials_of(config, study)

    def terminated(*args: Any, **kwargs: Any) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(60)

    def interrupted(*args: Any, **kwargs: Any) -> None:
        raise KeyboardInterrupt

    for stops, said in ((terminated, SystemExit), (interrupted, KeyboardInterrupt), (terminated, SystemExit)):
        monkeypatch.setattr(trainer, "train", stops)
        with pytest.raises(said):
            run_next(config, study, trainer, limit_s=60)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    (record,) = study.records()
    assert (record.trial.status, record.attempts) == ("running", 0)


def test_no_trial_is_asked_where_none_can_be_judged(config: PlatformConfig) -> None:
    plan_search.main(config, study=NAME, **SMALL)
    study = opened(config)
    trainer = trials_of(config, study)
    trainer.log.labels[:] = 1
    with pytest.raises(ValueError, match="trials of small are judged on define no NE: nothing but clicks"):
        run_next(config, study, trainer, limit_s=60)
    assert study.records() == []


def test_the_champion_is_trained_again_once_it_is_another_model(config: PlatformConfig) -> None:
    plan_search.main(config, study=NAME, **SMALL)
    study = opened(config)
    first = champion_ne(study, trials_of(config, study))
    assert champion_ne(study, trials_of(config, study)) == first
    other = config.changed(foundation_model={"optimizer": {"embedding_learning_rate": 0.2}})
    assert champion_ne(study, trials_of(other, study)) != first


def test_trials_that_could_not_be_compared_are_refused(config: PlatformConfig) -> None:
    plan_search.main(config, study=NAME, **SMALL)
    run_trial.main(config, study=NAME)
    # The platform's own model may change, and where it is trained: trials take neither from it.
    own = {"architecture": "dlrm", "hyperparameters": {}, "embedding_dim": 8, "optimizer": {"learning_rate": 0.2}}
    for harmless in (own, {"training": {"checkpoint_minutes": 3}}):
        of = config.changed(foundation_model=harmless)
        plan_search.main(of, study=NAME, **SMALL | {"cost_cap": opened(config).settings.cost_cap})
    run_trial.main(of, study=NAME)
    for changed in (
        {"foundation_model": {"optimizer": {"ema_decay": 0.5}}},
        {"foundation_model": {"num_embeddings": {"other": 48}}},
        {"features": {"history_length": 7}},
    ):
        of = config.changed(**changed)
        for door in (lambda of: plan_search.main(of, study=NAME, **SMALL), lambda of: run_trial.main(of, study=NAME)):
            with pytest.raises(StudyDiffers, match=r"since the search small began.*begin another .* from_study=small"):
                door(of)
    assert len(opened(config).records()) == 2
    name = plan_search.main(of, study="after", **SMALL | {"from_study": NAME})["study"]
    assert run_trial.main(of, study=name)["status"] == "done"


def test_trials_of_a_vertical_take_other_settings_of_the_platform(config: PlatformConfig) -> None:
    plan_search.main(config, study=NAME, **SMALL)
    settings = opened(config).settings.changed(target="feed", cost_cap=None)

    def of_vertical(**changed: Any) -> str:
        return inherited(config.changed(**changed), settings)

    before = of_vertical()
    assert before == of_vertical(vertical_model={"architecture": "dlrm"})
    assert before == of_vertical(foundation_model={"optimizer": {"ema_decay": 0.5}})
    others = [
        of_vertical(vertical_model={"optimizer": {"ema_decay": 0.5}}),
        of_vertical(vertical_model={"cold_start_epochs": 5}),
        of_vertical(transfer={"loss_weight": 0.3}),
        of_vertical(sources={"synthetic": {"verticals": {"feed": {"model": {"optimizer": {"batch_size": 32}}}}}}),
    ]
    assert len({before, *others}) == 5


def test_a_search_of_a_vertical_that_is_gone_is_listed(config: PlatformConfig) -> None:
    plan_search.main(config, study=NAME, **SMALL)
    file = storage.study_dir(config, NAME) / "study.json"
    content = json.loads(file.read_text())
    content["settings"]["target"] = "gone"
    file.write_text(json.dumps(content))
    assert list_studies.main(config)["studies"][NAME]["target"] == "gone"
