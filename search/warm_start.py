"""A search that begins with what another one has tried.

NE of other days is on another level: clicks are more or less predictable from week to week. So the best models of the
other search are trained again first, which also tells by how much the level has moved; the other trials are then told
to the sampler at the new level, and are not trained again.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from statistics import median

from config import PlatformConfig
from search.choices import Value
from search.space import Params, Space
from search.study import Study, best
from search.trial import Ask, Trial

TRAINED_AGAIN = 3
TAG = "from_study"  # of what is trained again


@dataclass(frozen=True)
class Known:
    """The ended trials of another search that fit this one.

    Attributes:
        trials: with params of this search's space, in the order in which they were asked.
        first: params of the best of them, which are trained again.
        newest: last day that they were judged on.
        set_aside: why others do not fit, and how many.
    """

    trials: tuple[Trial, ...]
    first: tuple[dict[str, Value], ...]
    newest: date
    set_aside: Counter[str]

    def asks(self, history: Sequence[Trial], space: Space, count: int) -> list[Ask]:
        """Returns what is trained again and has not been asked."""
        asked = {space.key(trial.params) for trial in history}
        return [Ask(dict(p), frozenset({TAG})) for p in self.first if space.key(p) not in asked][:count]

    def history(self, own: Sequence[Trial], space: Space) -> list[Trial]:
        """Returns the known trials at this search's level, then its own.

        None is known yet where nothing that was trained again has ended well: the level is not known.
        """
        of_own = {space.key(trial.params): trial.objective for trial in own}
        before = {space.key(trial.params): trial.objective for trial in self.trials}
        moved = [new - old for key, old in before.items() if old is not None and (new := of_own.get(key)) is not None]
        if not moved:
            return list(own)
        level = median(moved)
        known = [
            replace(trial, objective=None if trial.objective is None else trial.objective + level, curve=())
            for trial in self.trials
            if space.key(trial.params) not in of_own
        ]
        return [*known, *own]


def known_trials(config: PlatformConfig, name: str, *, source: str, target: str, space: Space) -> Known:
    """Reads the trials of another search.

    Args:
        config: the platform.
        name: of that search.
        source: of this search.
        target: of this search.
        space: of this search.

    Raises:
        FileNotFoundError: there is no search of that name.
        ValueError: it is of another target, or none of its trials fits.
    """
    other = Study.load(config, name, lambda settings: space)
    if (other.settings.source, other.settings.target) != (source, target):
        raise ValueError(
            f"the search {name} is of {other.settings.target} of {other.settings.source}, this one of {target} of "
            f"{source}: a search can begin only with one of the same"
        )
    trials: dict[str, Trial] = {}
    set_aside: Counter[str] = Counter()
    of_trial: dict[int, dict[str, Value]] = {}
    for record in other.records():
        if record.trial.status == "running":
            continue
        try:
            params = _fitted(record.trial.params, space)
        except ValueError as reason:
            set_aside[str(reason)] += 1
            continue
        of_trial[record.trial.number] = params
        cost = space.cost(params)
        trials.setdefault(space.key(params), replace(record.trial, params=params, cost=cost, tags=frozenset()))
    if not trials:
        why = "; ".join(f"{reason} ({count})" for reason, count in set_aside.most_common(3)) or "none has ended"
        raise ValueError(f"no trial of the search {name} fits this one: {why}")
    first = [of_trial[r.trial.number] for r in best(other.records(), len(of_trial)) if r.trial.number in of_trial]
    return Known(tuple(trials.values()), tuple(first[:TRAINED_AGAIN]), other.settings.days[-1], set_aside)


def _fitted(params: Params, space: Space) -> dict[str, Value]:
    """Returns params as this space has them; choices that they lack, such as those of a further block, change nothing.

    Raises:
        ValueError: they do not fit; says why.
    """
    first = space.first
    if unknown := params.keys() - first.keys():
        raise ValueError(f"choices that this search lacks: {', '.join(sorted(unknown))}")
    fitted = space.canonical({**first, **params})
    if reason := space.refusal(fitted):
        raise ValueError(reason)
    return fitted
