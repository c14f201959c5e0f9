"""Writes the page of a search, beside the day reports."""

import json
from pathlib import Path
from typing import Any

import storage
from config import PlatformConfig
from data.sources import chosen_source
from reports.pages import write_index
from reports.study_facts import FinalFacts, StudyFacts, TrialFacts
from reports.study_page import study_page
from search.champion import kept_champion_ne
from search.conclusion import CONCLUSION_FILE, CURRENT
from search.importance import importance
from search.run_trial import EXPERIMENT, short
from search.spaces.ranking import RankingSpace, graph
from search.study import Record, Study, best
from search.trial import FALLBACK
from search.warm_start import known_trials
from training.tracking import experiment_named, tracking_client

PATCH_FILE = "winner.patch"


def write_search_page(config: PlatformConfig, study: Study) -> Path:
    """Writes the page as the search is now, and the index that leads to it; returns its file."""
    page = storage.study_page(config, study.name)
    with storage.replace_file(page) as file:
        file.write_text(study_page(_facts(config, study)))
    write_index(config, chosen_source(config).about)
    return page


def _facts(config: PlatformConfig, study: Study) -> StudyFacts:
    records, settings = study.records(), study.settings
    experiment = experiment_named(config, tracking_client(config), EXPERIMENT)
    runs = f"http://127.0.0.1:{config.runtime.mlflow_port}/#/experiments/{experiment}/runs/"
    concluded = study.folder / CONCLUSION_FILE
    conclusion: dict[str, Any] = json.loads(concluded.read_text()) if concluded.exists() else {}
    winner = [record for record in records if record.key == conclusion.get("winner")]
    top = (winner or best(records))[:1]
    nodes, outputs = graph(top[0].trial.params) if top and isinstance(study.space, RankingSpace) else ({}, [])
    cap = "any" if settings.cost_cap is None else f"{settings.cost_cap:,.0f} FLOPs an example"
    patch = study.folder / PATCH_FILE
    return StudyFacts(
        source=settings.source,
        name=study.name,
        settings={
            "target": settings.target,
            "sampler": settings.sampler,
            **_beside_the_sampler(config, study),
            "learnt": f"{settings.days[0]} to {settings.days[-1]}",
            "judged on the last": f"{settings.judged_days} dates of them",
            "kept for the end": f"{settings.later_days[0]} to {settings.later_days[-1]}",
            "cost cap": cap,
            "seed": str(settings.seed),
        },
        trials=[_trial(study, record, runs) for record in records],
        trials_planned=study.budget.trials,
        refused=len(study.refused()),
        importance=importance(study.space, [record.trial for record in records], seed=settings.seed),
        graph=nodes,
        outputs=outputs,
        drawn=top[0].trial.number if top else None,
        finals=[_final(one, conclusion) for one in _finalists(conclusion)],
        verdict=conclusion.get("verdict", ""),
        patch=patch.read_text() if patch.exists() else "",
    )


def _beside_the_sampler(config: PlatformConfig, study: Study) -> dict[str, str]:
    """Returns what else decides about the next trial, where there is anything."""
    settings, told = study.settings, {}
    if settings.screener != "none":
        told["screener"] = settings.screener
    if settings.from_study is not None:
        begun = known_trials(
            config, settings.from_study, source=settings.source, target=settings.target, space=study.space
        )
        told["began with"] = f"{len(begun.trials)} trials of {settings.from_study}"
    if (champion := kept_champion_ne(study)) is not None:
        ended = [r.trial.objective for r in study.records() if r.trial.objective is not None]
        told["better than today's"] = f"{sum(ne < champion for ne in ended)} trials (NE below {champion:.4f})"
    if study.shared_flops:
        told["shared weights took"] = f"{study.shared_flops:,.3g} FLOPs"
    return told


def _trial(study: Study, record: Record, runs: str) -> TrialFacts:
    trial = record.trial
    return TrialFacts(
        trial.number,
        trial.status,
        trial.objective,
        trial.cost,
        trial.seconds,
        short(study, record),
        record.error,
        FALLBACK in trial.tags,
        runs + record.run_id,
    )


def _finalists(conclusion: dict[str, Any]) -> list[dict[str, Any]]:
    return [conclusion["current"], *conclusion["finalists"]] if conclusion else []


def _final(one: dict[str, Any], conclusion: dict[str, Any]) -> FinalFacts:
    users, seeds = one["difference"], one["over_seeds"]
    return FinalFacts(
        name="today's" if one["model"] == CURRENT else f"trial {one['number']}",
        cost=one["cost"],
        search_ne=one["search_ne"],
        ne=one["ne"],
        seeds=len(one["by_seed"]),
        difference=users["value"] if users else None,
        over_users=(users["low"], users["high"]) if users else None,
        over_seeds=(seeds["low"], seeds["high"]) if seeds else None,
        winner=one["model"] == conclusion["winner"],
    )
