"""Searching in a latent space: what is asked is a model, what was learnt is kept, and no answer is hidden."""

from datetime import date

import numpy as np
import pytest
import torch
from botorch.exceptions.errors import ModelFittingError

from search.asking import claim
from search.choices import Categorical, Integer, Real
from search.latent.embedding import Embedding, Learning
from search.latent.vae import Fit
from search.samplers.latent import Latent
from search.space import Space
from search.study import Budget, Study, StudySettings
from search.trial import FALLBACK, Question, Trial
from tests.models.architectures.inputs import inputs
from tests.search.spaces.test_ranking import SPACE as RANKING
from tests.search.spaces.test_ranking import network

QUICK = Learning(models=400, steps=60, fit=Fit(hidden=24, latent=4, batch=32, learning_rate=1e-2))


def tried(n=12, *, seed=0):
    """Trials of which those of few FLOPs are the best."""
    rng = np.random.default_rng(seed)
    drawn = [RANKING.sample(rng) for _ in range(n)]
    return [Trial(k, p, "done", float(np.log(RANKING.cost(p))), RANKING.cost(p), 1.0) for k, p in enumerate(drawn)]


def ask(history, *, count=3, **settings):
    return Latent(learning=QUICK, **settings)(Question(RANKING, history, count, 20, 0))


def test_new_models_are_asked_that_train():
    history = tried()
    asks = ask(history)
    assert [one.tags for one in asks] == [frozenset()] * 3
    keys = {RANKING.key(trial.params) for trial in history} | {RANKING.key(one.params) for one in asks}
    assert len(keys) == len(history) + 3
    for one in asks:
        model, sizes = network(one.params)
        x = inputs([sizes.sequence_length, 0], sizes)
        model(x).logits.square().sum().backward()
        assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.parameters())


def test_what_was_learnt_is_kept_and_read_again(tmp_path, monkeypatch):
    file = tmp_path / "folder" / "latent.safetensors"
    asks = ask(tried(), kept=file)
    assert file.exists() and asks == ask(tried())

    def refuse(*args, **kwargs):
        raise AssertionError("it is learnt again")

    monkeypatch.setattr("search.latent.embedding._learnt", refuse)
    assert ask(tried(), kept=file) == asks


def test_the_best_point_is_decoded_to_models_the_process_likes():
    """What is asked is cheap, as the best trials are."""
    history = tried(40)
    asks = ask(history, count=6)
    costs = np.log([RANKING.cost(one.params) for one in asks])
    assert costs.mean() < np.median([trial.objective for trial in history]) - 0.5


def test_a_process_that_cannot_be_fitted_is_a_fallback(monkeypatch):
    def refuse(*args, **kwargs):
        raise ModelFittingError("no")

    monkeypatch.setattr("search.bayes.surrogate.fit_gpytorch_mll", refuse)
    assert [one.tags for one in ask(tried())] == [{FALLBACK}] * 3


def test_trials_without_an_objective_are_a_fallback():
    failed = [Trial(t.number, t.params, "failed", None, t.cost, 1.0) for t in tried()]
    assert [one.tags for one in ask(failed)] == [{FALLBACK}] * 3


def test_the_first_trials_are_random_and_no_fallback():
    asks = ask(tried(9))
    assert [one.tags for one in asks] == [frozenset()] * 3


def test_every_model_has_a_point_in_the_box_with_its_sizes_and_rates_beside():
    embedding, history = Embedding(RANKING, QUICK), tried(100, seed=9)
    points = embedding.points([trial.params for trial in history])
    codes = np.array([embedding.box.encode(point) for point in points])  # refuses what lies outside
    assert codes.shape == (100, 4 + len(embedding.drawing.beside))
    graph = embedding.drawing.graph(history[0].params)
    assert embedding.model(graph, points[0]) == history[0].params


def test_a_space_without_graphs_is_refused():
    line = Space((Real("x", 0, 1),))
    history = [Trial(n, {"x": n / 10}, "done", 1.0, None, 1.0) for n in range(10)]
    with pytest.raises(ValueError, match="no unordered choice"):
        Latent(learning=QUICK)(Question(line, history, 1, 9, 0))


def test_a_search_keeps_what_was_learnt_in_its_folder(tiny_config):
    settings = StudySettings(
        source="synthetic", sampler="latent", days=[date(2026, 1, 2)], later_days=[date(2026, 1, 3)], judged_days=1
    )
    space = Space((Categorical("op", tuple("abc")), Integer("width", 0, 9)))
    study, made = Study.open(tiny_config, "one", settings, Budget(trials=12), lambda of: space), []
    for _ in range(11):
        assert (study.folder / "latent.safetensors").exists() is False
        made.append(claim(tiny_config, study, lease_s=60))
        study.end(made[-1], "done", objective=float(made[-1].trial.params["width"]))
    assert (study.folder / "latent.safetensors").exists() and made[-1].trial.tags == frozenset()
    assert len({record.key for record in made}) == 11
