"""What a search asks next, by its settings: sampler and screener, models that were proposed, a warm start."""

from collections.abc import Mapping
from dataclasses import replace

from config import PlatformConfig
from search.choices import Value
from search.samplers import AT_ONCE, KEEPING, SAMPLERS
from search.samplers.proposed import Proposed
from search.samplers.screened import Screened
from search.screeners import score
from search.shared_weights import PROPOSING, SharedWeights
from search.study import Record, Study
from search.trial import Ask, Question, Sampler
from search.warm_start import known_trials

KINDS = (*SAMPLERS, *PROPOSING)  # all that a search may be told as its sampler


def claim(
    config: PlatformConfig, study: Study, *, lease_s: float, context: Mapping[str, Value] | None = None
) -> Record | None:
    """Gives this process a trial of a search to train; see `Study.claim`."""
    return study.claim(
        lambda question: _sampler(config, study)(question),  # made where it is asked: it may read weights
        lease_s=lease_s,
        at_once=AT_ONCE.get(study.settings.sampler, 1),
        context=context,
    )


def _sampler(config: PlatformConfig, study: Study) -> Sampler:
    settings = study.settings
    if settings.sampler in PROPOSING:
        return Proposed(SharedWeights(config, study).proposed())
    file = KEEPING.get(settings.sampler)
    sampler = SAMPLERS[settings.sampler](**({"kept": study.folder / file} if file else {}))
    if settings.screener != "none":
        shared = SharedWeights(config, study)
        sampler = Screened(sampler, lambda models: score(shared, settings.screener, models))
    return sampler if settings.from_study is None else _warm(config, study, sampler)


def _warm(config: PlatformConfig, study: Study, sampler: Sampler) -> Sampler:
    settings, space = study.settings, study.space
    assert settings.from_study is not None
    known = known_trials(config, settings.from_study, source=settings.source, target=settings.target, space=space)

    def asks(question: Question) -> list[Ask]:
        again = known.asks(question.history, space, question.count)
        return again or sampler(replace(question, history=known.history(question.history, space)))

    return asks
