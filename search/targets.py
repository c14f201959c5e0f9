"""What a search is for: the foundation model, or the model of a vertical."""

from datetime import date

from config import PlatformConfig
from search.finals import Finals, FoundationFinals, VerticalFinals
from search.foundation_trials import FoundationTrials, foundation_flops, foundation_inputs
from search.spaces.ranking import RankingSpace
from search.study import FOUNDATION, Study, StudySettings
from search.vertical_trials import VerticalTrials, vertical_flops, vertical_space

Trials = FoundationTrials | VerticalTrials


def space_of(config: PlatformConfig, settings: StudySettings) -> RankingSpace:
    """Returns the space of a search.

    Raises:
        ValueError: the target is unknown, or the cap is below what the smallest model costs.
    """
    _check(config, settings.target)
    if settings.target != FOUNDATION:
        return vertical_space(config.of_vertical(settings.target), blocks=settings.blocks, cap=settings.cost_cap)
    return RankingSpace.of(
        foundation_inputs(config), target="foundation", blocks=settings.blocks, cap=settings.cost_cap
    )


def load_study(config: PlatformConfig, name: str) -> Study:
    """Reads a search.

    Raises:
        FileNotFoundError: there is none of that name.
    """
    return Study.load(config, name, lambda settings: space_of(config, settings))


def trials_of(config: PlatformConfig, study: Study) -> Trials:
    """Returns what trains the trials of a search, on the days before those that are kept for its end."""
    assert isinstance(study.space, RankingSpace)
    return _trials(config, study.space, study.settings)


def finals_of(config: PlatformConfig, study: Study) -> Finals:
    """Returns what trains the finalists of a search, on all its days; its `later` is judged on the later ones alone."""
    assert isinstance(study.space, RankingSpace)
    kind = FoundationFinals if study.settings.target == FOUNDATION else VerticalFinals
    return kind(config, study.space, study.settings)


def inherited(config: PlatformConfig, settings: StudySettings) -> str:
    """Returns what names the settings that all trials of a search take from platform.yaml, whatever their params.

    Raises:
        ValueError: the target is unknown, or the cap is below what the smallest model costs.
    """
    return _trials(config, space_of(config, settings), settings).inherited


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
    if target == FOUNDATION:
        return foundation_flops(config, day)
    own = config.of_vertical(target)
    return vertical_flops(own, own.vertical_model)


def _trials(config: PlatformConfig, space: RankingSpace, settings: StudySettings) -> Trials:
    if settings.target == FOUNDATION:
        return FoundationTrials(config, space, settings.days, judged_days=settings.judged_days)
    return VerticalTrials(config, space, settings.target, settings.days, judged_days=settings.judged_days)


def _check(config: PlatformConfig, target: str) -> None:
    if target not in (FOUNDATION, *config.verticals):
        known = ", ".join([FOUNDATION, *config.verticals])
        raise ValueError(f"unknown target {target!r}; {config.data_source} has {known}")
