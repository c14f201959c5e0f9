"""How an FM starts: the size of its first embeddings, and rates that rise."""

import torch

from config import PlatformConfig
from data.batches.foundation import foundation_batches
from data.sources import source_schema
from tests.clean_tables import clean_tables, write_tables
from tests.study_log import DAY
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
