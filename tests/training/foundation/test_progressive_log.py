from contextlib import contextmanager
from datetime import date
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
import torch

from data.sources import source_schema
from models.architectures import ARCHITECTURES
from models.architectures.architecture import Inputs, Sizes
from models.foundation.dense_network import DenseNetwork
from models.layers.attention import SelfAttention
from tests.study_log import DAY, study_config, write_log
from training.foundation import progressive_log
from training.foundation.progressive_log import Learnt, ProgressiveLog, forward_flops, progressive_ne
from training.foundation.trainer import Progress, Scored, foundation_trainer


def test_flops_of_dcnv2_equal_its_formula():
    hyperparameters = {"num_cross_layers": 2, "rank": 3, "deep": [7, 5], "head": [4]}
    network = DenseNetwork(ARCHITECTURES["dcnv2"], hyperparameters, Sizes(5, 8, 8, 0, 1))
    batch = Inputs(torch.randn(6, 5, 8), torch.randn(6, 8), torch.zeros(6, 0, 10), torch.zeros(6, 0).bool())
    width = 5 * 8 + 8  # a multiple of 16: nothing is added
    multiplications = 2 * (2 * width * 3) + (width * 7 + 7 * 5) + ((width + 5) * 4 + 4)
    assert forward_flops(network, batch) == 2 * multiplications


def test_flops_of_attention_are_counted():
    class Attention(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.attention = SelfAttention(8, num_heads=2)

        def forward(self, batch):
            return self.attention(batch.sequence, batch.mask)

    batch = Inputs(torch.zeros(3, 1, 8), torch.zeros(3, 1), torch.randn(3, 6, 8), torch.ones(3, 6).bool())
    projections, products = 6 * 8 * 3 * 8 + 6 * 8 * 8, 2 * 6 * 6 * 8
    assert forward_flops(Attention(), batch) == 2 * (projections + products)


class Recorder:
    """A trainer that says of each example the number of days it has learnt before."""

    def __init__(self):
        self.learnt, self.module, self.average = 0, None, SimpleNamespace(decay=0.0)

    def learn(self, batches, what, *, progress):
        self.learnt += 1

    def score(self, batches, what):
        for examples in batches:
            yield Scored(examples.keys, np.full(examples.size, self.learnt / 10, np.float32), np.zeros(0), np.zeros(0))


def log_of(config, labels_by_day, *, judged_days, labels):
    days = [
        [SimpleNamespace(size=len(day), batch=None, keys=pa.RecordBatch.from_pydict({"label": day}))]
        for day in labels_by_day
    ]
    users = np.array(["u"] * len(labels))
    return ProgressiveLog(
        config, [date(2026, 1, 2)], judged_days, np.array(labels, np.float32), users, None, {False: days}
    )


@pytest.fixture
def recorded(monkeypatch):
    @contextmanager
    def trainer(config, schema):
        yield Recorder()

    monkeypatch.setattr(progressive_log, "foundation_trainer", trainer)
    monkeypatch.setattr(progressive_log, "dense_size", lambda module, batch: (1, 2))


def test_a_day_is_judged_before_it_is_learnt(tiny_config, recorded):
    log = log_of(tiny_config, [[0], [1], [1, 0], [1]], judged_days=2, labels=[1, 0, 1])
    judged = log.run(tiny_config.foundation_model, seed=0, what="test")
    np.testing.assert_allclose(judged.probabilities, [0.2, 0.2, 0.3])
    assert (judged.figures["rows"], judged.figures["rows_learnt"]) == (3, 5)


def test_a_date_without_rows_is_passed_over(tiny_config, recorded):
    log = log_of(tiny_config, [[], [1, 0], [], [1]], judged_days=2, labels=[1])
    log._encoded[False] = [day if day[0].size else [] for day in log._encoded[False]]
    judged = log.run(tiny_config.foundation_model, seed=0, what="test")
    np.testing.assert_allclose(judged.probabilities, [0.3])
    assert (judged.figures["rows_learnt"], judged.figures["curve"][0]) == (3, None)
    assert list(judged.days) == [1]


def test_judged_rows_in_another_order_are_refused(tiny_config, recorded):
    log = log_of(tiny_config, [[0], [1, 0]], judged_days=1, labels=[0, 1])
    with pytest.raises(RuntimeError, match="another order"):
        log.run(tiny_config.foundation_model, seed=0, what="test")


def test_the_seed_decides_what_a_model_says(tmp_path):
    config = study_config(tmp_path)
    write_log(config)
    log = ProgressiveLog.of(config, [DAY], judged_days=1)
    small = {"num_layers": 1, "num_fmb_tokens": 4, "num_lcb_tokens": 4, "rank": 4, "mlp": [16]}
    foundation = config.foundation_model.changed(hyperparameters=small, embedding_dim=8)
    once, again, other = (log.run(foundation, seed=seed, what="test").probabilities for seed in (0, 0, 1))
    np.testing.assert_array_equal(once, again)
    assert np.abs(once - other).max() > 0.01


def test_a_model_is_judged_as_it_learns_by_what_scores(tmp_path):
    config = study_config(tmp_path)
    write_log(config)
    small = {"num_layers": 1, "num_fmb_tokens": 4, "num_lcb_tokens": 4, "rank": 4, "mlp": [16]}
    averaged = {"batch_size": 64, "ema_decay": 0.9}
    foundation = config.foundation_model.changed(hyperparameters=small, embedding_dim=8, optimizer=averaged)
    log = ProgressiveLog.of(config, [DAY], judged_days=1)
    judged = log.run(foundation, seed=0, what="test")
    by_weights = log.run(foundation.changed(optimizer={"ema_decay": 0.0}), seed=0, what="test")
    assert all(abs(a.loss - b.loss) > 1e-3 for a, b in zip(judged.learnt, by_weights.learnt, strict=True))
    of = config.changed(foundation_model=foundation, runtime={"seed": 0, "torch_threads": 1})
    with foundation_trainer(of, source_schema(of)) as trainer:
        for number, date_of in enumerate(log._days(of)):
            loss = 0.0
            for batch in date_of:
                (scored,) = trainer.score([batch], "test")
                said = np.where(batch.labels.numpy() > 0, scored.probabilities, 1 - scored.probabilities)
                loss -= float(np.log(said.astype(np.float64)).sum())
                trainer.learn([batch], "test", progress=Progress())
            assert judged.learnt[number].loss == pytest.approx(loss, rel=1e-5)


def test_the_ne_of_a_date_as_it_is_learnt_is_that_of_its_batches_each_before_it_is_learnt(tmp_path):
    config = study_config(tmp_path)
    write_log(config)
    small = {"num_layers": 1, "num_fmb_tokens": 4, "num_lcb_tokens": 4, "rank": 4, "mlp": [16]}
    foundation = config.foundation_model.changed(hyperparameters=small, embedding_dim=8)
    whole = foundation.changed(optimizer={"batch_size": 10_000})  # a date is one batch: all of it is judged before
    judged = ProgressiveLog.of(config, [DAY], judged_days=2).run(whole, seed=0, what="test")
    assert progressive_ne(judged.learnt[-2:]) == pytest.approx(judged.figures["ne"], rel=1e-5)
    assert judged.figures["curve"][-1] == progressive_ne(judged.learnt[-1:])
    log = ProgressiveLog.of(config, [DAY], judged_days=2)
    parts = log.run(foundation, seed=0, what="test")
    assert [of.rows for of in parts.learnt] == [of.rows for of in judged.learnt]
    assert parts.learnt[0].loss != judged.learnt[0].loss
    assert progressive_ne([Learnt(0.0, 3, 3.0)]) is None and progressive_ne([]) is None
