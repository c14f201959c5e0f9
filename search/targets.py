"""What a search is for: the foundation model, or the model of a vertical."""

from datetime import date

from config import PlatformConfig
from search.foundation_trials import FoundationTrials, foundation_flops, foundation_inputs
from search.space import Space
from search.spaces.ranking import RankingSpace
from search.study import FOUNDATION, StudySettings
from search.vertical_trials import VerticalTrials, vertical_flops, vertical_space

Trials = FoundationTrials | VerticalTrials


def space_of(config: PlatformConfig, settings: StudySettings) -> RankingSpace:
    """Returns the space of a search.

    Raises:
        ValueError: the target is unknown, or the cap is below what the smallest model costs.
    """
    _check(config, settings.target)
    if settings.target != FOUNDATION:
        return vertical_space(config, blocks=settings.blocks, cap=settings.cost_cap)
    return RankingSpace.of(
        foundation_inputs(config), target="foundation", blocks=settings.blocks, cap=settings.cost_cap
    )


def trials_of(
    config: PlatformConfig, settings: StudySettings, space: Space, days: list[date], *, judged_days: int
) -> Trials:
    """Returns what trains models of a search.

    Args:
        config: the platform.
        settings: of the search.
        space: of the search.
        days: platform days to learn, oldest first.
        judged_days: the newest dates of them.
    """
    assert isinstance(space, RankingSpace)
    if settings.target == FOUNDATION:
        return FoundationTrials(config, space, days, judged_days=judged_days)
    return VerticalTrials(config, space, settings.target, days, judged_days=judged_days)


def current_cost(config: PlatformConfig, target: str, day: date) -> float:
    """Counts FLOPs of an example's forward pass in the platform's own model, as the space counts those of its own.

    Args:
        config: the platform.
        target: of a search.
        day: any committed one.

    Raises:
        ValueError: the target is unknown.
    """
    _check(config, target)
    return foundation_flops(config, day) if target == FOUNDATION else vertical_flops(config, config.vertical_model)


def _check(config: PlatformConfig, target: str) -> None:
    if target not in (FOUNDATION, *config.verticals):
        known = ", ".join([FOUNDATION, *config.verticals])
        raise ValueError(f"unknown target {target!r}; {config.data_source} has {known}")
