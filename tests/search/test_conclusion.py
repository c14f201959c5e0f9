"""The end of a search: who has won, and that what was trained is not trained again."""

from datetime import date
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from config import PlatformConfig
from quality.metrics import evaluate, row_losses
from search.choices import Categorical
from search.conclusion import CURRENT, conclude
from search.finals import FinalJudged
from search.space import Params, Space
from search.study import Budget, Study, StudySettings
from search.trial import Ask, Question

SPACE = Space((Categorical("skill", (0.0, 0.5, 1.0, 2.0)),))
ROWS, OWN_SKILL = 4000, 0.5


class Models:
    """Trains models whose skill is known: the more, the nearer their predictions are to the true probabilities.

    On the search's dates those are best whose skill is nearest to `searched_for`.
    """

    def __init__(self, *, differ: float, noise: float = 0.05, searched_for: float = 1.0) -> None:
        rng = np.random.default_rng(0)
        self.z, self.differ, self.noise = rng.normal(0, 1.5, ROWS), differ, noise
        self.trained: list[tuple[Any, int]] = []
        labels = (rng.random(ROWS) < 1 / (1 + np.exp(-self.z))).astype(np.float32)
        log = SimpleNamespace(labels=labels, users=np.arange(ROWS) // 4)
        self.later = SimpleNamespace(log=log, platform="as shipped")
        self.searched_for = searched_for

    def train(self, params: Params | None, *, seed: int, what: str) -> FinalJudged:
        self.trained.append((params and params["skill"], seed))
        skill = OWN_SKILL if params is None else OWN_SKILL + self.differ * (float(params["skill"]) - OWN_SKILL)
        noise = np.random.default_rng([seed, params is None]).normal(0, self.noise, ROWS)
        probabilities = 1 / (1 + np.exp(-(skill * self.z + noise)))
        luck = 1.2 if seed == 0 and skill > 1 else 0.0  # all seeds count, not the first alone
        return FinalJudged(1 + abs(skill - self.searched_for) - luck, probabilities, flops=7.0, seconds=1.0)


@pytest.fixture
def study(tiny_config: PlatformConfig) -> Study:
    settings = StudySettings(
        source="synthetic", sampler="random", days=[date(2026, 1, 2)], judged_days=1, later_days=[date(2026, 1, 3)]
    )
    made = Study.open(tiny_config, "one", settings, Budget(trials=4), lambda of: SPACE)

    def in_order(question: Question) -> list[Ask]:
        return [Ask(list(SPACE.everything())[len(question.history)])]

    for ne in (0.95, 0.9, 0.8, 0.85):  # skill 1.0 is the best in the search, too
        record = made.claim(in_order, lease_s=60)
        assert record is not None
        made.end(record, "done", objective=ne)
    return made


def test_the_best_wins_by_later_days_and_several_seeds(study: Study) -> None:
    models = Models(differ=1.0)
    concluded = conclude(study, models, finalists=2, seeds=3)
    assert [one.number for one in concluded.finalists] == [2, 3]
    first = concluded.finalists[0]
    assert concluded.winner == first.model == study.records()[2].key
    assert "trial 2 is better than the platform's own: NE" in concluded.verdict
    # NE is that of the mean over seeds of each row's loss.
    labels = models.later.log.labels
    predicted = [models.train({"skill": 1.0}, seed=seed, what="").probabilities for seed in range(3)]
    entropy = -(labels.mean() * np.log(labels.mean()) + (1 - labels.mean()) * np.log(1 - labels.mean()))
    assert first.ne == pytest.approx(np.mean([row_losses(labels, p).mean() for p in predicted]) / entropy)
    assert first.by_seed == pytest.approx([evaluate(labels, p).ne for p in predicted])
    assert first.over_seeds is not None and first.over_seeds.high < 0
    assert first.difference is not None and first.difference.value == pytest.approx(first.ne - concluded.current.ne)


@pytest.mark.parametrize(("differ", "seeds"), [(0.05, 3), (1.0, 1)], ids=["of other seeds", "of one seed"])
def test_a_difference_that_may_be_chance_wins_nothing(study: Study, differ: float, seeds: int) -> None:
    concluded = conclude(study, Models(differ=differ, noise=0.3), finalists=1, seeds=seeds)
    (first,) = concluded.finalists
    assert first.difference is not None and first.over_seeds is not None
    # For other users of these trained weights it would be sure.
    assert first.difference.high < 0 and not first.over_seeds.high < 0
    assert concluded.winner is None
    assert "nothing is shown to be better than the platform's own; trial 2" in concluded.verdict
    assert "nan" not in concluded.verdict and ("over seeds not known from one" in concluded.verdict) == (seeds == 1)


def test_which_one_may_win_is_not_chosen_by_the_days_that_judge_it(study: Study) -> None:
    # Skill 1.0 is best on the later days; on the search's dates it is 0.5, the platform's own.
    concluded = conclude(study, Models(differ=1.0, searched_for=0.5), finalists=3, seeds=3)
    assert [one.number for one in concluded.finalists] == [1, 2, 3]
    assert [one.search_ne for one in concluded.finalists] == pytest.approx([1.0, 1.5, 2.1])
    best = min(concluded.finalists, key=lambda one: one.ne)
    assert best.number == 2 and best.is_better
    assert concluded.winner is None
    assert "nothing is shown to be better than the platform's own; trial 1" in concluded.verdict


def test_what_was_trained_is_not_trained_again(study: Study) -> None:
    models = Models(differ=1.0)
    once = conclude(study, models, finalists=1, seeds=2)
    assert models.trained == [(1.0, 0), (1.0, 1), (None, 0), (None, 1)]
    assert conclude(study, models, finalists=1, seeds=2) == once and len(models.trained) == 4
    conclude(study, models, finalists=1, seeds=3)
    assert models.trained[4:] == [(1.0, 2), (None, 2)]
    assert once.current.model == CURRENT


def test_a_finalist_that_diverges_with_one_seed_is_left_out(study: Study) -> None:
    models = Models(differ=1.0)
    train, wrong = models.train, {(1.0, 1)}

    def diverges(params: Params | None, *, seed: int, what: str) -> FinalJudged:
        if ((params or {}).get("skill"), seed) in wrong:
            raise FloatingPointError("the loss is not finite at step 3")
        return train(params, seed=seed, what=what)

    models.train = diverges  # type: ignore[method-assign]
    concluded = conclude(study, models, finalists=2, seeds=3)
    assert [one.number for one in concluded.finalists] == [3]
    wrong |= {(2.0, 4)}
    with pytest.raises(ValueError, match="every finalist of the search one diverges with one of 5 seeds"):
        conclude(study, models, finalists=2, seeds=5)
    wrong |= {(None, 5)}
    with pytest.raises(ValueError, match="the platform's own model diverges"):
        conclude(study, models, finalists=4, seeds=6)


def test_later_days_with_one_label_are_said_before_anything_is_trained(study: Study) -> None:
    models = Models(differ=1.0)
    models.later.log.labels[:] = 0
    with pytest.raises(ValueError, match="the later days of the search one define no NE: no clicks among 4000 rows"):
        conclude(study, models, finalists=1, seeds=2)
    assert not models.trained


def test_a_search_is_compared_with_the_platforms_model_of_today(study: Study) -> None:
    conclude(study, Models(differ=1.0), finalists=1, seeds=2)
    changed = Models(differ=-1.0)
    changed.later.platform = "changed"
    concluded = conclude(study, changed, finalists=1, seeds=2)
    assert len(changed.trained) == 4 and concluded.winner is None
