"""Searches for a better model: plans, makes all trials one after another, concludes. What the DAG of that name does.

- **Reads:** what plan_search, run_trial and conclude_search read.
- **Writes:** what they write.

Stop it at any time: called again with the same settings, it goes on. A line a trial says what the best so far is and
how long the rest will take.
"""

import logging
import time
from typing import Any

import torch

from config import PlatformConfig
from jobs import conclude_search, plan_search
from jobs._search_page import write_search_page
from search.run_trial import run_next
from search.study import FOUNDATION, Study, best
from search.targets import space_of, trials_of

LOG = logging.getLogger("headwater.search")


def main(
    config: PlatformConfig,
    *,
    study: str = "",
    target: str = FOUNDATION,
    sampler: str = "predictor",
    trials: int = 30,
    seconds: float = 0.0,
    flops: float = 0.0,
    cost_cap: float = 0.0,
    days: int = 14,
    judged_days: int = 2,
    later_days: int = 2,
    blocks: int = 3,
    seed: int = 0,
    limit_s: float = 3600.0,
    finalists: int = 3,
    seeds: int = 3,
) -> dict[str, Any]:
    """Makes the whole search.

    Args:
        config: the platform.
        study: see plan_search, as all down to seed.
        target: see plan_search.
        sampler: see plan_search.
        trials: see plan_search.
        seconds: see plan_search.
        flops: see plan_search.
        cost_cap: see plan_search.
        days: see plan_search.
        judged_days: see plan_search.
        later_days: see plan_search.
        blocks: see plan_search.
        seed: see plan_search.
        limit_s: most seconds of a trial.
        finalists: how many of the best models are trained again.
        seeds: how often each.

    Returns:
        What conclude_search does.
    """
    planned = plan_search.main(
        config,
        study=study,
        target=target,
        sampler=sampler,
        trials=trials,
        seconds=seconds,
        flops=flops,
        cost_cap=cost_cap,
        days=days,
        judged_days=judged_days,
        later_days=later_days,
        blocks=blocks,
        seed=seed,
    )
    opened = Study.load(config, planned["study"], lambda of: space_of(config, of))
    torch.set_num_threads(config.runtime.torch_threads)
    trainer = trials_of(
        config, opened.settings, opened.space, opened.settings.days, judged_days=opened.settings.judged_days
    )
    started, made = time.monotonic(), 0
    while run_next(config, opened, trainer, limit_s=limit_s) is not None:
        made += 1
        write_search_page(config, opened)
        LOG.info("%s", _so_far(opened, (time.monotonic() - started) / made))
    return conclude_search.main(config, study=opened.name, finalists=finalists, seeds=seeds)


def _so_far(study: Study, seconds_each: float) -> str:
    records = study.records()
    top = best(records)
    ended = sum(record.trial.status != "running" for record in records)
    left = study.budget.trials - ended
    found = (
        f"best NE {top[0].trial.objective:.4f} (trial {top[0].trial.number}, {top[0].trial.cost:,.0f} FLOPs)"
        if top
        else "none has ended well yet"
    )
    return f"{ended} of {study.budget.trials} trials: {found}; about {left * seconds_each / 60:.0f} min to go"
