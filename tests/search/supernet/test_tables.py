import pytest
import torch

from data.batches.foundation import FoundationFeatures, foundation_batches
from data.sources import source_schema
from models.foundation.embedded_network import CLICKED
from search.supernet.tables import Tables
from tests.study_log import DAY, study_config, write_log


@pytest.fixture(scope="module")
def read(tmp_path_factory):
    config = study_config(tmp_path_factory.mktemp("log")).changed(
        foundation_model={"architecture": "sequence_graph", "hyperparameters": {}}
    )
    write_log(config)
    features = FoundationFeatures.of(source_schema(config), config.foundation_model, config.features)
    return features, list(foundation_batches(config, DAY))[-3:]


def test_a_log_is_looked_up_as_the_foundation_models_batches_name_it(read):
    features, batches = read
    tables = Tables(features, embedding_dim=4, bound=0.05, seed=0)
    for examples in batches:
        batch = examples.batch
        plain, histories = (tables(batch, history=history) for history in (False, True))
        assert plain.sequence.shape[1] == 0 and histories.mask.any()
        torch.testing.assert_close(plain.tokens, histories.tokens)  # clicks are the clicked steps
        for place, name in enumerate(features.sparse):
            rows = tables.starts[place] + batch.sparse[name].values()
            assert torch.equal(plain.tokens[:, place], tables.table(rows))
        clicked = batch.sparse[CLICKED]
        row = int(clicked.lengths().argmax())
        ids = clicked.to_dense()[row]
        item = tables.starts[features.sparse.index("item_id")]
        torch.testing.assert_close(plain.tokens[row, -1], tables.table(item + ids).mean(0))
        assert torch.equal(
            plain.tokens[clicked.lengths() == 0, -1], torch.zeros(int((clicked.lengths() == 0).sum()), 4)
        )


def test_a_batch_moves_only_the_rows_that_it_looks_up(read):
    features, batches = read
    tables = Tables(features, embedding_dim=4, bound=0.05, seed=0)
    tables(batches[0].batch, history=False).tokens.sum().backward()
    looked_up = set(tables.table.weight.grad.coalesce().indices()[0].tolist())
    wanted = {
        start + row
        for name, start in zip(features.sparse, tables.starts, strict=True)
        for row in batches[0].batch.sparse[name].values().tolist()
    }
    item = tables.starts[features.sparse.index("item_id")]
    assert looked_up == wanted | {item + row for row in batches[0].batch.sparse[CLICKED].values().tolist()}
