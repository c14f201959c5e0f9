"""Begins a search for a better model, or goes on with one of the same name.

- **Reads:** which days are done; a batch of `examples`, to count what the platform's own model costs.
- **Writes:** the search's settings, in the source's folder `studies`; its run in MLflow's experiment `search`.

The search learns the newest days done but the last ones, which are kept for the judgement at its end. No model may cost
more than the platform's own, unless told otherwise. A search that is gone on with by its name keeps its days and cap.
"""

import logging
import math
from datetime import date
from typing import Any

import storage
from config import PlatformConfig
from search.asking import KINDS
from search.run_trial import study_run
from search.shared_weights import check_shared, parts
from search.space import Space
from search.study import FOUNDATION, Budget, Study, StudySettings, begun
from search.targets import current_cost, inherited, space_of
from search.warm_start import known_trials

LOG = logging.getLogger("headwater.search")
JUDGED_OF_VERTICAL = 2  # dates, unless told otherwise: what they are judged on, they do not learn


def main(
    config: PlatformConfig,
    *,
    study: str = "",
    target: str = FOUNDATION,
    sampler: str = "predictor",
    screener: str = "none",
    from_study: str = "",
    trials: int = 30,
    seconds: float = 0.0,
    flops: float = 0.0,
    cost_cap: float = 0.0,
    days: int = 14,
    judged_days: int = 0,
    later_days: int = 2,
    blocks: int = 3,
    seed: int = 0,
) -> dict[str, Any]:
    """Makes the search.

    Args:
        config: the platform.
        study: name of the search, by which it can be gone on with after further days, too; empty: made of target,
            sampler, last day and seed.
        target: foundation, or a vertical.
        sampler: what chooses the next trial.
        screener: what chooses among the sampler's answers, without training; none: all are trained.
        from_study: name of another search of the same target, whose trials this one begins with; empty: with nothing.
        trials: the most of them.
        seconds: of training, after which no trial begins; 0: any.
        flops: of training, after which no trial begins; 0: any.
        cost_cap: most FLOPs of an example's forward pass; 0: as many as the platform's own model; inf: any.
        days: the most platform days that trials learn.
        judged_days: the newest dates of them, on which trials are judged; 0: of a foundation model the newer half,
            each batch just before it is learnt, and of a vertical's model the newest two, which it does not learn.
        later_days: platform days after those, kept for the judgement at the end.
        blocks: most blocks of a model.
        seed: of the search.

    Returns:
        study: its name; parts: what share_weights must learn before the first trial; trials: numbers of those that may
        still be made.

    Raises:
        ValueError: a setting is wrong, too few days are done, or the name is another search's.
    """
    if sampler not in KINDS:
        raise ValueError(f"Unknown sampler {sampler!r}; there are {', '.join(KINDS)}")
    for name, value in {"trials": trials, "days": days, "later_days": later_days}.items():
        if value < 1:
            raise ValueError(f"{name} is {value}; it must be 1 at least")
    if judged_days < 0:
        raise ValueError(f"judged_days is {judged_days}; it must be 0 at least")
    there = begun(config, study)
    if there is not None and len(there.later_days) == later_days:
        learnt, later = there.days, there.later_days
    else:
        learnt, later = _newest(config, days, later_days)
    dates = len(storage.date_starts(config, learnt))
    judged_days = judged_days or (max(1, dates // 2) if target == FOUNDATION else JUDGED_OF_VERTICAL)
    if judged_days >= dates:
        raise ValueError(
            f"judged_days is {judged_days}, and {learnt[0]} to {learnt[-1]} cover {dates} dates, of which trials must "
            "learn one at least; run more days, or lower judged_days"
        )
    if cost_cap:
        cap = cost_cap
    elif there is not None:
        cap = math.inf if there.cost_cap is None else there.cost_cap
    else:
        cap = current_cost(config, target, learnt[-1])
    settings = StudySettings(
        source=config.data_source,
        target=target,
        sampler=sampler,
        screener=screener,
        from_study=from_study or None,
        seed=seed,
        blocks=blocks,
        cost_cap=None if math.isinf(cap) else cap,
        days=learnt,
        judged_days=judged_days,
        later_days=later,
    )
    check_shared(settings)
    settings = settings.changed(inherited=inherited(config, settings))
    needed = parts(config, settings)
    told = "_".join([target, sampler, *([screener] if screener != "none" else [])])
    name = study or f"{told}_{later[-1]:%Y%m%d}_seed{seed}"
    if name == from_study:
        raise ValueError(f"the search {name} cannot begin with itself: give it another name with `study`")
    budget = Budget(trials=trials, seconds=seconds or None, flops=flops or None)
    made = Study.open(config, name, settings, budget, lambda of: _space(config, of))
    study_run(config, made)
    ended = sum(record.trial.status != "running" for record in made.records())
    return {"study": name, "parts": needed, "trials": list(range(ended, trials))}


def _newest(config: PlatformConfig, days: int, later_days: int) -> tuple[list[date], list[date]]:
    """Returns the newest days done, those that trials learn and those that are kept for the end."""
    done = [day for day in storage.committed_days(config, "examples") if storage.skip_reason(config, day) is None]
    if len(done) <= later_days:
        raise ValueError(
            f"{len(done)} days of {config.data_source} are done: a search needs one at least before the last "
            f"{later_days}, which it keeps for its end; run more days, or lower later_days"
        )
    return done[:-later_days][-days:], done[-later_days:]


def _space(config: PlatformConfig, settings: StudySettings) -> Space:
    """Returns the space of a search, and looks that another search to begin with fits it; says what is taken over."""
    space = space_of(config, settings)
    if settings.from_study is not None:
        known = known_trials(config, settings.from_study, source=settings.source, target=settings.target, space=space)
        if known.newest >= settings.later_days[0]:
            raise ValueError(
                f"the trials of {settings.from_study} were judged up to {known.newest}, and this search keeps "
                f"{settings.later_days[0]} and later for its end, by which nothing may be chosen: lower later_days, or "
                "begin with nothing"
            )
        LOG.info("%d trials of %s are taken over, the best %d of them to be trained again", len(known.trials),
                 settings.from_study, len(known.first))  # fmt: skip
        for reason, count in known.set_aside.items():
            LOG.info("%d are set aside: %s", count, reason)
    return space
