"""One trial of a search: claimed, trained, judged, recorded; as an MLflow run under the search's own."""

import logging
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import numpy as np

from config import PlatformConfig
from quality.metrics import undefined_because
from search.asking import claim
from search.champion import champion_ne
from search.samplers import ACTIVE
from search.study import INHERITS_OTHERS, Record, Study, StudyDiffers
from search.targets import Trials
from search.trial import CHAMPION, FALLBACK
from training.tracking import tracked_run

LOG = logging.getLogger("headwater.search")
EXPERIMENT = "search"


class TimedOut(Exception):  # what it says, not an error of the trial's code
    """A trial took longer than it may."""


def run_next(config: PlatformConfig, study: Study, trainer: Trials, *, limit_s: float) -> Record | None:
    """Trains what the search asks next; a trial that fails, diverges or takes too long is recorded as such.

    Args:
        config: the platform.
        study: the search.
        trainer: of its target.
        limit_s: most seconds of a trial.

    Returns:
        The trial as it ended; None where the budget is spent, or nothing is left to try.

    Raises:
        StudyDiffers: platform.yaml has changed, so that a trial could not be compared with those there are.
        ValueError: no trial can be judged.
    """
    if trainer.inherited != study.settings.inherited:
        raise StudyDiffers(INHERITS_OTHERS.format(study.name))
    if why := undefined_because(trainer.log.labels):  # before a trial is asked, which could not help it
        raise ValueError(f"the dates that trials of {study.name} are judged on define no NE: {why}")
    context = {CHAMPION: champion_ne(study, trainer)} if study.settings.sampler == ACTIVE else None
    claimed = claim(config, study, lease_s=2 * limit_s, context=context)
    if claimed is None:
        return None
    number = claimed.trial.number
    LOG.info("trial %d: %s", number, short(study, claimed))
    key, name = {"study": study.name, "trial": str(number)}, f"{study.name} {number}"
    with _given_back(study, claimed), tracked_run(config, experiment=EXPERIMENT, name=name, key=key) as run:
        run.log_params(claimed.trial.params | {"flops": claimed.trial.cost})
        run.set_tags({"mlflow.parentRunId": study_run(config, study), "key": claimed.key})
        if FALLBACK in claimed.trial.tags:
            run.set_tags({FALLBACK: "true"})
        ended = _trained(study, claimed, trainer, limit_s, run.run_id)
        run.set_tags({"status": ended.trial.status, "error": ended.error})
        run.log_metrics((ended.figures or {}) | {"objective": ended.trial.objective, "seconds": ended.trial.seconds})
        for step, ne in enumerate(ended.trial.curve):
            run.log_metrics({"ne_progressive": ne}, step=step)
    return ended


def study_run(config: PlatformConfig, study: Study) -> str:
    """Returns the MLflow run of a search, under which those of its trials are; made on first use."""
    with tracked_run(config, experiment=EXPERIMENT, name=study.name, key={"study": study.name, "trial": "all"}) as run:
        run.log_params(study.settings.model_dump(mode="json"))
        return run.run_id


def _trained(study: Study, claimed: Record, trainer: Trials, limit_s: float, run_id: str) -> Record:
    before = time.monotonic()

    def end(status: Any, error: str = "", **figures: Any) -> Record:
        if error:
            LOG.warning("trial %d %s: %s", claimed.trial.number, status.replace("_", " "), error)
        seconds = time.monotonic() - before
        return study.end(claimed, status, seconds=seconds, error=error, run_id=run_id, **figures)

    try:
        with _time_limit(limit_s):
            judged = trainer.train(
                claimed.trial.params, seed=study.settings.seed, what=f"{study.name} {claimed.trial.number}"
            )
    except TimedOut:
        return end("timed_out", f"it took more than {limit_s:.0f} s")
    except FloatingPointError as error:
        return end("diverged", str(error))
    except (RuntimeError, ValueError, MemoryError) as error:
        LOG.info("traceback", exc_info=True)
        return end("failed", f"{type(error).__name__}: {error}")
    figures = {name: float(value) for name, value in judged.figures.items() if isinstance(value, int | float)}
    kept: dict[str, Any] = {
        "figures": figures,
        "rows": int(judged.figures["rows_learnt"]),
        "curve": tuple(value for value in judged.figures["curve"] if value is not None),
    }
    objective = trainer.objective(judged)
    if not np.isfinite(objective):
        return end("failed", "NE is not defined: the judged rows have one label only", **kept)
    return end("done", objective=objective, **kept)


@contextmanager
def _given_back(study: Study, claimed: Record) -> Iterator[None]:
    """Gives a trial back where this process is asked to end: that says nothing about its model."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        study.give_back(claimed)
        raise
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _time_limit(seconds: float) -> Iterator[None]:
    def stop(number: int, frame: FrameType | None) -> None:
        raise TimedOut

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def short(study: Study, record: Record) -> str:
    """Says in one line what is tried: the choices that are not at their first value."""
    first = study.space.first
    chosen = {name: value for name, value in record.trial.params.items() if value != first[name]}
    return ", ".join(f"{name} {value}" for name, value in chosen.items()) or "every choice at its first value"
