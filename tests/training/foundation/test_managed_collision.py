"""Tables that hand their rows out: no collisions while there is room, and a row taken back starts anew."""

from collections.abc import Iterator

import pytest
import torch
from torchrec import KeyedJaggedTensor

from config import ManagedCollision, NumEmbeddings, Runtime
from models.architectures import ARCHITECTURES
from models.foundation.embedded_network import CLICKED, EmbeddedNetwork, FoundationBatch
from training.foundation.parallel import process_group, shard

ROWS, INTERVAL, BATCH = 64, 2, 8


@pytest.fixture
def group() -> Iterator[torch.device]:
    with process_group(Runtime(device="cpu")) as device:
        yield device


def test_new_ids_get_rows_of_their_own_and_old_ones_give_theirs_back(group: torch.device):
    torch.manual_seed(0)
    module = EmbeddedNetwork(
        ARCHITECTURES["dlrm"],
        {},
        sparse=("user_id", "item_id"),
        num_dense=1,
        num_embeddings=NumEmbeddings(user_id=ROWS, item_id=ROWS),
        embedding_dim=4,
        sequence_length=0,
        managed=ManagedCollision(tables=["user_id", "item_id"], eviction_interval=INTERVAL),
    )
    model = shard(module, group, embedding_learning_rate=0.5)
    state = model.state_dict()
    table = state["managed._embedding_module.embedding_bags.user_id.weight"].local_shards()[0].tensor
    momentum = next(
        value.local_shards()[0].tensor
        for name, values in model.fused_optimizer.state_dict()["state"].items()
        for value in values.values()
        if "user_id" in name
    )
    fresh = table.clone()

    def learn(generation: int) -> None:
        """BATCH new users, for as many steps as it takes to hand rows out and to learn in them."""
        for _ in range(3 * INTERVAL):
            users = 10**15 + 1000 * generation + torch.arange(BATCH)
            sparse = KeyedJaggedTensor(
                keys=["user_id", "item_id", CLICKED],
                values=torch.cat([users, torch.arange(BATCH)]),
                lengths=torch.cat([torch.ones(2 * BATCH, dtype=torch.int64), torch.zeros(BATCH, dtype=torch.int64)]),
            )
            batch = FoundationBatch(sparse, torch.zeros(BATCH, 1), torch.zeros(0, 2))
            model(batch).logits.sum().backward()

    def learnt() -> torch.Tensor:
        return momentum.flatten() > 0

    learn(0)
    assert int(learnt()[:-1].sum()) == BATCH  # and the last row, which ids share until they get their own
    assert not torch.equal(table, fresh)
    generations = ROWS // BATCH + 2
    for generation in range(1, generations):
        learn(generation)
    assert int(learnt().sum()) <= ROWS
    raw = next(v for k, v in model.state_dict().items() if "user_id" in k and "sorted_raw_ids" in k)
    raw = raw.local_shards()[0].tensor if hasattr(raw, "local_shards") else raw
    held = {int(i) for i in raw if int(i) < 2**62}
    newest = {10**15 + 1000 * (generations - 1) + n for n in range(BATCH)}
    oldest = {10**15 + n for n in range(BATCH)}
    assert newest <= held and not oldest <= held
