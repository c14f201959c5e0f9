"""A search that begins with the trials of another one."""

from datetime import date
from typing import Any

import pytest

from config import PlatformConfig
from search.choices import Integer
from search.space import Space
from search.study import Budget, Study, StudySettings
from search.trial import Ask, Question
from search.warm_start import TAG, TRAINED_AGAIN, known_trials

OLD = Space((Integer("a", 0, 9),))


class Capped(Space):
    """As wide, and with a further choice; cost is a."""

    def cost(self, params: Any) -> float:
        return float(params["a"])

    def refusal(self, params: Any) -> str | None:
        return "above the cap" if params["a"] > 7 else None


NEW = Capped((Integer("a", 0, 9), Integer("b", 0, 3)))


def study(config: PlatformConfig, name: str, space: Space, **changed: Any) -> Study:
    days = {"days": [date(2026, 1, 3)], "later_days": [date(2026, 1, 4)], "judged_days": 1}
    made = StudySettings.model_validate({"source": "synthetic", "sampler": "x"} | days | changed)
    return Study.open(config, name, made, Budget(trials=20), lambda of: space)


@pytest.fixture
def old(tiny_config: PlatformConfig) -> Study:
    """Ten trials of which the middle ones are good, one has diverged, and one more is running."""
    made = study(tiny_config, "old", OLD)
    for n in range(10):
        record = made.claim(lambda question: [Ask({"a": len(question.history)})], lease_s=60)
        assert record is not None
        if n == 2:
            made.end(record, "diverged", seconds=1.0)
        elif n != 9:
            made.end(record, "done", objective=0.8 + abs(n - 5) / 100, seconds=1.0, curve=(0.9, 0.85))
    return made


def known(config: PlatformConfig, space: Space = NEW, **of: str) -> Any:
    return known_trials(config, "old", **{"source": "synthetic", "target": "foundation"} | of, space=space)


def test_what_fits_is_taken_over_and_the_best_is_trained_again(tiny_config: PlatformConfig, old: Study) -> None:
    found = known(tiny_config)
    assert [trial.params for trial in found.trials] == [{"a": n, "b": 0} for n in range(8)]
    assert found.set_aside == {"above the cap": 1}  # 9 was running
    assert found.first[0]["a"] == 5 and len(found.first) == TRAINED_AGAIN
    new = study(tiny_config, "new", NEW, from_study="old")

    def warm(question: Question) -> list[Ask]:
        return found.asks(question.history, NEW, question.count)

    while (record := new.claim(warm, lease_s=60)) is not None:
        new.end(record, "failed", seconds=1.0)
    assert [record.trial.params for record in new.records()] == list(found.first)
    assert all(record.trial.tags == {TAG} for record in new.records())


def test_other_trials_are_told_at_the_new_level(tiny_config: PlatformConfig, old: Study) -> None:
    found = known(tiny_config)
    new = study(tiny_config, "new", NEW, from_study="old")
    own: list[Any] = []
    for moved in (0.05, 0.06, 0.09):
        record = new.claim(lambda question: found.asks(question.history, NEW, 1), lease_s=60)
        assert record is not None
        before = next(t.objective for t in found.trials if t.params == record.trial.params)
        own = [r.trial for r in new.records()]
        if moved == 0.05:
            assert found.history(own, NEW) == own  # nothing has ended, so the level is not known
        new.end(record, "done", objective=before + moved, seconds=1.0)
    own = [record.trial for record in new.records()]
    history = found.history(own, NEW)
    assert history[-3:] == own and len(history) == 8
    of_old = {trial.params["a"]: trial for trial in history[:-3]}
    assert of_old[7].objective == pytest.approx(0.82 + 0.06) and of_old[7].curve == ()  # the median
    assert of_old[2].status == "diverged" and of_old[2].objective is None
    assert len({NEW.key(trial.params) for trial in history}) == len(history)


def test_what_cannot_be_begun_with_is_refused(tiny_config: PlatformConfig, old: Study) -> None:
    with pytest.raises(ValueError, match="the search old is of foundation of synthetic, this one of feed"):
        known(tiny_config, target="feed")
    with pytest.raises(ValueError, match="no trial of the search old fits this one: choices that this search lack"):
        known(tiny_config, Space((Integer("c", 0, 1),)))
    with pytest.raises(FileNotFoundError, match="no search is named none"):
        known_trials(tiny_config, "none", source="synthetic", target="foundation", space=NEW)


def test_it_says_up_to_when_its_trials_were_judged(tiny_config: PlatformConfig, old: Study) -> None:
    assert known(tiny_config).newest == old.settings.days[-1]
