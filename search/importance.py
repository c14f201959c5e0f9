"""Which choices of a space explain the differences between its trials."""

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.importance import FanovaImportanceEvaluator, get_param_importances

from search.choices import Categorical, Choice, Integer
from search.space import Space
from search.trial import Trial

FEWEST = 10  # trials; with fewer, importances are noise


def importance(space: Space, trials: list[Trial], *, seed: int) -> dict[str, float]:
    """Returns the share of each choice (functional ANOVA over a random forest; Hutter et al., ICML 2014).

    Args:
        space: of the trials.
        trials: of a search; those that ended well count.
        seed: of the forest.

    Returns:
        Shares that sum to 1, of the choices that differ; empty where fewer than FEWEST trials ended well.
    """
    done = [trial for trial in trials if trial.status == "done" and trial.objective is not None]
    values = {choice.name: {trial.params[choice.name] for trial in done} for choice in space.choices}
    chosen = [choice for choice in space.choices if len(values[choice.name]) > 1]
    if len(done) < FEWEST or not chosen or len({trial.objective for trial in done}) < 2:
        return {}
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study()
    study.add_trials(
        [
            optuna.trial.create_trial(
                params={choice.name: trial.params[choice.name] for choice in chosen},
                distributions={choice.name: _distribution(choice) for choice in chosen},
                value=trial.objective,
            )
            for trial in done
        ]
    )
    return get_param_importances(study, evaluator=FanovaImportanceEvaluator(seed=seed))


def _distribution(choice: Choice) -> BaseDistribution:
    if isinstance(choice, Categorical):
        return CategoricalDistribution(choice.values)
    if isinstance(choice, Integer):
        return IntDistribution(choice.low, choice.high, log=choice.log)
    return FloatDistribution(choice.low, choice.high, log=choice.log)
