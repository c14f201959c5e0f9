"""Where tables are placed, what they start with, and that they learn."""

from collections.abc import Iterator

import pytest
import torch
from torchrec import KeyedJaggedTensor

from config import ManagedCollision, NumEmbeddings, Runtime
from models.architectures import ARCHITECTURES
from models.foundation.embedded_network import CLICKED, SEQUENCE, EmbeddedNetwork, FoundationBatch
from models.foundation.tables import FirstWeights
from training.foundation.parallel import process_group, shard

ROWS, DIM, BATCH = 64, 4, 8


@pytest.fixture
def group() -> Iterator[torch.device]:
    with process_group(Runtime(device="cpu")) as device:
        yield device


def network(architecture: str, managed: ManagedCollision | None = None) -> EmbeddedNetwork:
    torch.manual_seed(0)
    return EmbeddedNetwork(
        ARCHITECTURES[architecture],
        {},
        sparse=("user_id", "item_id"),
        num_dense=1,
        num_embeddings=NumEmbeddings(user_id=ROWS, item_id=ROWS),
        embedding_dim=DIM,
        sequence_length=2,
        managed=managed,
    )


def batch() -> FoundationBatch:
    names, ids = ["user_id", "item_id", CLICKED, SEQUENCE], torch.arange(BATCH)
    sparse = KeyedJaggedTensor(
        keys=names, values=ids.repeat(len(names)), lengths=torch.ones(len(names) * BATCH, dtype=torch.int64)
    )
    return FoundationBatch(sparse, torch.zeros(BATCH, 1), torch.zeros(BATCH, 2))


MANAGED = ManagedCollision(tables=["user_id", "item_id"], eviction_interval=2)
CASES = [("dlrm", None), ("din", None), ("dlrm", MANAGED), ("din", MANAGED)]


@pytest.mark.parametrize(("architecture", "managed"), CASES)
def test_tables_start_with_weights_of_their_name_and_learn(
    group: torch.device, architecture: str, managed: ManagedCollision | None
):
    model = shard(network(architecture, managed), group, embedding_learning_rate=0.5)
    parts, first = {}, {}
    for key, value in model.state_dict().items():
        if key.endswith(("user_id.weight", "item_id.weight")):
            (part,) = value.local_shards()
            parts[key.split(".")[-2]] = part.tensor
    torch.manual_seed(0)
    for table, weights in parts.items():
        first[table] = torch.empty(ROWS, DIM)
        FirstWeights(table, rows=ROWS, embedding_dim=DIM).fill(first[table])
        assert torch.equal(weights, first[table]), table
    model(batch()).logits.sum().backward()
    for table, weights in parts.items():
        changed = (weights != first[table]).any(dim=1).nonzero().flatten().tolist()
        # New ids share the last row of a table that hands its rows out.
        assert changed == (list(range(BATCH)) if managed is None else [ROWS - 1]), table
    assert set(parts) == {"user_id", "item_id"}


def test_more_processes_than_gpus_are_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("LOCAL_RANK", "2")
    with (
        pytest.raises(RuntimeError, match=r"process 3 .* 2 CUDA devices.*foundation_model"),
        process_group(Runtime(device="auto")),
    ):
        pass
