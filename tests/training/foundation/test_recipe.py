"""How an FM starts: the size of its first embeddings, and rates that rise. And what scores: its moving average."""

from pathlib import Path

import numpy as np
import torch

from config import PlatformConfig
from data.batches.foundation import foundation_batches
from data.sources import source_schema
from tests.clean_tables import clean_tables, write_tables
from tests.study_log import DAY
from tests.training.test_weight_average import recursion
from training.foundation.sharded_checkpoint import save_sharded
from training.foundation.trainer import Progress, foundation_trainer


def tables_after_a_step(config: PlatformConfig, **foundation: object) -> tuple[dict, dict]:
    """The FM's tables before and after it has learnt one batch."""
    config = config.changed(foundation_model=foundation, runtime={"device": "cpu"})
    with foundation_trainer(config, source_schema(config)) as trainer:
        before = {name: value.clone() for name, value in tables(trainer).items()}
        batch = next(iter(foundation_batches(config, DAY, start=None, end=None)))
        trainer.learn([batch], "test", progress=Progress())
        return before, tables(trainer)


def tables(trainer) -> dict[str, torch.Tensor]:
    state = trainer.model.state_dict()
    return {name: value.local_shards()[0].tensor for name, value in state.items() if hasattr(value, "local_shards")}


def test_a_warm_up_holds_the_first_steps_of_the_tables_back(tiny_config):
    write_tables(tiny_config, DAY, {"examples": clean_tables(tiny_config, source_schema(tiny_config), DAY)["examples"]})
    moved = {}
    for steps in (0, 10):
        before, after = tables_after_a_step(tiny_config, optimizer={"warmup_steps": steps})
        moved[steps] = max(float((after[name] - before[name]).abs().max()) for name in before)
    assert moved[10] > 0
    torch.testing.assert_close(moved[0] / moved[10], 10.0, rtol=0.02, atol=0)


def test_first_embeddings_are_as_large_as_asked(tiny_config):
    write_tables(tiny_config, DAY, {"examples": clean_tables(tiny_config, source_schema(tiny_config), DAY)["examples"]})
    before, _ = tables_after_a_step(tiny_config, first_embeddings=0.25)
    assert all(0.2 < float(weight.abs().max()) <= 0.25 for weight in before.values())
    before, _ = tables_after_a_step(tiny_config)
    assert all(float(weight.abs().max()) <= len(weight) ** -0.5 for weight in before.values())


def learnt_and_scored(config: PlatformConfig, folder: Path, *, decay: float, by_hand: float | None = None):
    """The FM's weights after each step, what it says after the last one, and its version.

    Args:
        config: of a platform that has the day's examples.
        folder: for the snapshot.
        decay: of the average.
        by_hand: the average with this decay, computed from the course, is put in place of the weights before it scores.
    """
    optimizer = {"batch_size": 8, "ema_decay": decay}
    config = config.changed(foundation_model={"optimizer": optimizer}, runtime={"device": "cpu"})
    with foundation_trainer(config, source_schema(config)) as trainer:
        network = dict(trainer.module.network.network.named_parameters())
        batches, course = list(foundation_batches(config, DAY)), []

        def after_step(ne: float | None) -> None:
            course.append({name: weight.detach().clone() for name, weight in network.items()})

        trainer.learn(batches, "test", progress=Progress(), after_step=after_step)
        if by_hand is not None:
            for name, weight in network.items():
                weight.data = recursion([step[name] for step in course], by_hand)
        scores = [np.column_stack([part.probabilities, part.hidden]) for part in trainer.score(batches, "test")]
        folder.mkdir()
        return course, np.concatenate(scores), save_sharded(folder, trainer.model, trainer.optimizer)


def test_the_moving_average_scores_and_the_weights_learn(tiny_config: PlatformConfig, tmp_path: Path):
    write_tables(tiny_config, DAY, {"examples": clean_tables(tiny_config, source_schema(tiny_config), DAY)["examples"]})
    plain, by_weights, version = learnt_and_scored(tiny_config, tmp_path / "plain", decay=0.0)
    averaged, by_average, of_average = learnt_and_scored(tiny_config, tmp_path / "averaged", decay=0.9)
    _, expected, _ = learnt_and_scored(tiny_config, tmp_path / "by hand", decay=0.0, by_hand=0.9)
    _, _, of_another = learnt_and_scored(tiny_config, tmp_path / "another", decay=0.5)
    assert all(torch.equal(plain[-1][name], averaged[-1][name]) for name in plain[-1])
    np.testing.assert_allclose(by_average, expected, atol=1e-5)
    assert abs(by_average - by_weights).max() > 1e-3
    assert len({version, of_average, of_another}) == 3  # equal weights, but other scores
