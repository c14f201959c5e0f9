"""The tree-structured Parzen estimator of Optuna, asked through a study that is made anew from the history."""

import warnings
from dataclasses import dataclass

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState

from search.choices import Categorical, Choice, Integer, Value
from search.samplers.unasked import Unasked
from search.space import Params, Space
from search.trial import FALLBACK, Ask, Question, Status

ASKED_AGAIN = 50  # times for one answer, where Optuna repeats itself or asks for what is refused
REPEATED = "repeated"  # tag of an answer before which Optuna had said what was asked before or is refused
STATES: dict[Status, TrialState] = {
    "running": TrialState.RUNNING,
    "done": TrialState.COMPLETE,
    "failed": TrialState.FAIL,
    "diverged": TrialState.FAIL,
    "timed_out": TrialState.FAIL,
}


@dataclass(frozen=True)
class TPE:
    """Optuna's TPESampler; what it repeats is asked again, and drawn at random when it goes on repeating.

    Running trials count as bad ones (constant liar).

    Attributes:
        multivariate: choices are drawn together.
        startup: trials that Optuna draws at random before.
    """

    multivariate: bool = True
    startup: int = 10

    def __call__(self, question: Question) -> list[Ask]:
        """Asks Optuna; random answers have the tag of a fallback."""
        unasked, asks = Unasked(question), []
        study = self._study(question, seed=int(unasked.rng.integers(2**31)))
        distributions = {choice.name: _distribution(choice) for choice in question.space.choices}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            while unasked.missing:
                refused = 0
                while refused < ASKED_AGAIN and not self._take(study, distributions, unasked):
                    refused += 1
                if refused == ASKED_AGAIN and not unasked.take_random():
                    break
                tags = [REPEATED] * (refused > 0) + [FALLBACK] * (refused == ASKED_AGAIN)
                asks.append(Ask(unasked.answers[-1], frozenset(tags)))
        return asks

    def _take(self, study: optuna.Study, distributions: dict[str, BaseDistribution], unasked: Unasked) -> bool:
        trial = study.ask(distributions)
        space = unasked.space
        params = space.canonical(_from_optuna(space, trial.params))
        # Whatever was asked stays in the study as a running trial, which counts as a bad one. What is known of it would
        # not do instead: among choices without order, the argmax of what Optuna draws hardly moves by a repetition.
        return space.refusal(params) is None and unasked.take(params)

    def _study(self, question: Question, *, seed: int) -> optuna.Study:
        """Makes the study that Optuna would have after the history."""
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # constant_liar and multivariate are called experimental
            sampler = optuna.samplers.TPESampler(
                n_startup_trials=self.startup,
                multivariate=self.multivariate,
                constant_liar=True,
                seed=seed,
            )
        study = optuna.create_study(sampler=sampler)
        distributions = {choice.name: _distribution(choice) for choice in question.space.choices}
        for trial in question.history:
            state = STATES[trial.status]
            if state is TrialState.COMPLETE and trial.objective is None:
                state = TrialState.FAIL
            study.add_trial(
                optuna.trial.create_trial(
                    state=state,
                    params=_to_optuna(question.space, trial.params),
                    distributions=distributions,
                    value=trial.objective if state is TrialState.COMPLETE else None,
                )
            )
        return study


def _distribution(choice: Choice) -> BaseDistribution:
    """Ordered values are numbered, so that Optuna knows which are near."""
    if isinstance(choice, Categorical):
        return IntDistribution(0, choice.count - 1) if choice.ordered else CategoricalDistribution(choice.values)
    if isinstance(choice, Integer):
        return IntDistribution(choice.low, choice.high, log=choice.log)
    return FloatDistribution(choice.low, choice.high, log=choice.log)


def _to_optuna(space: Space, params: Params) -> dict[str, Value]:
    return {
        choice.name: choice.values.index(params[choice.name])
        if isinstance(choice, Categorical) and choice.ordered
        else params[choice.name]
        for choice in space.choices
    }


def _from_optuna(space: Space, params: Params) -> dict[str, Value]:
    return {
        choice.name: choice.values[int(params[choice.name])]
        if isinstance(choice, Categorical) and choice.ordered
        else params[choice.name]
        for choice in space.choices
    }
