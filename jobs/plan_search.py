"""Begins a search for a better model, or goes on with one of the same name.

- **Reads:** which days are done; a batch of `examples`, to count what the platform's own model costs.
- **Writes:** the search's settings, in the source's folder `studies`; its run in MLflow's experiment `search`.

The search learns the newest days done but the last ones, which are kept for the judgement at its end. No model may cost
more than the platform's own, unless told otherwise.
"""

import math
from typing import Any

import storage
from config import PlatformConfig
from search.run_trial import study_run
from search.samplers import SAMPLERS
from search.study import FOUNDATION, Budget, Study, StudySettings
from search.targets import current_cost, space_of


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
) -> dict[str, Any]:
    """Makes the search.

    Args:
        config: the platform.
        study: name of the search; empty: made of target, sampler, last day and seed.
        target: foundation, or a vertical.
        sampler: what chooses the next trial.
        trials: the most of them.
        seconds: of training, after which no trial begins; 0: any.
        flops: of training, after which no trial begins; 0: any.
        cost_cap: most FLOPs of an example's forward pass; 0: as many as the platform's own model; inf: any.
        days: the most platform days that trials learn.
        judged_days: the newest dates of them, on which trials are judged.
        later_days: platform days after those, kept for the judgement at the end.
        blocks: most blocks of a model.
        seed: of the search.

    Returns:
        study: its name; trials: numbers of those that may still be made.

    Raises:
        ValueError: a setting is wrong, too few days are done, or the name is another search's.
    """
    if sampler not in SAMPLERS:
        raise ValueError(f"Unknown sampler {sampler!r}; there are {', '.join(SAMPLERS)}")
    for name, value in {"trials": trials, "days": days, "judged_days": judged_days, "later_days": later_days}.items():
        if value < 1:
            raise ValueError(f"{name} is {value}; it must be 1 at least")
    done = [day for day in storage.committed_days(config, "examples") if storage.skip_reason(config, day) is None]
    if len(done) <= later_days:
        raise ValueError(
            f"{len(done)} days of {config.data_source} are done: a search needs one at least before the last "
            f"{later_days}, which it keeps for its end; run more days, or lower later_days"
        )
    learnt, later = done[:-later_days][-days:], done[-later_days:]
    cap = current_cost(config, target, learnt[-1]) if cost_cap == 0 else cost_cap
    settings = StudySettings(
        source=config.data_source,
        target=target,
        sampler=sampler,
        seed=seed,
        blocks=blocks,
        cost_cap=None if math.isinf(cap) else cap,
        days=learnt,
        judged_days=judged_days,
        later_days=later,
    )
    name = study or f"{target}_{sampler}_{later[-1]:%Y%m%d}_seed{seed}"
    budget = Budget(trials=trials, seconds=seconds or None, flops=flops or None)
    made = Study.open(config, name, settings, budget, lambda of: space_of(config, of))
    study_run(config, made)
    ended = sum(record.trial.status != "running" for record in made.records())
    return {"study": name, "trials": list(range(ended, trials))}
