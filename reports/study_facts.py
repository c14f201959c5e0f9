"""What the page of a search shows; plain values, gathered by the jobs of the search."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class TrialFacts:
    """One trial."""

    number: int
    status: str  # done, running, failed, diverged, timed_out
    ne: float | None
    cost: float | None  # FLOPs of an example
    seconds: float | None  # of training
    said: str  # its choices in a line
    error: str  # why it did not end well
    fallback: bool  # drawn at random, as the sampler had no answer of its own
    url: str  # of its MLflow run


@dataclass(frozen=True)
class FinalFacts:
    """A finalist, or the platform's own model; figures without another word are of the later days."""

    name: str
    cost: float
    search_ne: float  # on the dates by which trials are judged
    ne: float
    seeds: int
    difference: float | None  # NE minus the platform's own
    over_users: tuple[float | None, float | None] | None  # its 95 % interval
    over_seeds: tuple[float | None, float | None] | None
    winner: bool


@dataclass(frozen=True)
class StudyFacts:
    """A search."""

    source: str
    name: str
    settings: Mapping[str, str]  # what is searched, for people
    trials: list[TrialFacts]
    trials_planned: int
    refused: int  # asks of what was tried, or may not be tried
    importance: Mapping[str, float]  # of each choice, they sum to 1; empty while too few trials are done
    graph: Mapping[str, Mapping[str, Any]]  # nodes of the best model
    outputs: list[str]
    drawn: int | None  # which trial the graph is of
    finals: list[FinalFacts]
    verdict: str  # empty before the end
    patch: str  # text of the proposed change, or empty

    @property
    def best(self) -> TrialFacts | None:
        """Returns the trial with the lowest NE so far."""
        done = [trial for trial in self.trials if trial.status == "done" and trial.ne is not None]
        return min(done, key=lambda trial: (trial.ne, trial.number)) if done else None
