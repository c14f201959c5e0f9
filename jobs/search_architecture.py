"""Searches for a better model: plans, makes all trials one after another, concludes. What the DAG of that name does.

- **Reads:** what plan_search, share_weights, run_trial and conclude_search read.
- **Writes:** what they write.

Stop it at any time: called again with the same settings, it goes on. A line a trial says what the best so far is and
how long the rest will take.
"""

import inspect
import logging
import time
from typing import Any

import torch

from config import PlatformConfig
from jobs import conclude_search, plan_search
from jobs._search_page import write_search_page
from search.run_trial import run_next
from search.shared_weights import SharedWeights
from search.study import Study, best
from search.targets import load_study, trials_of

LOG = logging.getLogger("headwater.search")


def main(
    config: PlatformConfig, *, limit_s: float = 3600.0, finalists: int = 3, seeds: int = 3, **planned: Any
) -> dict[str, Any]:
    """Makes the whole search.

    Args:
        config: the platform.
        limit_s: most seconds of a trial.
        finalists: how many of the best models are trained again.
        seeds: how often each.
        **planned: what plan_search takes.

    Returns:
        What conclude_search does.
    """
    plan = plan_search.main(config, **planned)
    opened = load_study(config, plan["study"])
    torch.set_num_threads(config.runtime.torch_threads)
    shared = SharedWeights(config, opened)
    for part in plan["parts"]:
        LOG.info("shared weights: %s", part)
        shared.learn(part)
    trainer = trials_of(config, opened)
    started, made = time.monotonic(), 0
    while run_next(config, opened, trainer, limit_s=limit_s) is not None:
        made += 1
        write_search_page(config, opened)
        LOG.info("%s", _so_far(opened, (time.monotonic() - started) / made))
    return conclude_search.main(config, study=opened.name, finalists=finalists, seeds=seeds)


# The command line reads the options from the signature: those of plan_search, which it passes on, are said there alone.
_OWN = [option for option in inspect.signature(main).parameters.values() if option.kind is option.KEYWORD_ONLY]
main.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
    [*inspect.signature(plan_search.main).parameters.values(), *_OWN]
)


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
