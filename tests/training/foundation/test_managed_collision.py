"""Tables that assign rows to ids: no collisions while there is room, and a row that is reassigned starts anew."""

from collections.abc import Iterator

import pytest
import torch
from torchrec import KeyedJaggedTensor

from config import ManagedCollision, NumEmbeddings, Runtime
from models.architectures import ARCHITECTURES
from models.foundation.embedded_network import CLICKED, EmbeddedNetwork, FoundationBatch
from models.foundation.tables import FirstWeights
from training.foundation.parallel import process_group, shard

ROWS, INTERVAL, BATCH = 64, 2, 8


@pytest.fixture
def group() -> Iterator[torch.device]:
    with process_group(Runtime(device="cpu")) as device:
        yield device


def network(*, interval: int) -> EmbeddedNetwork:
    torch.manual_seed(0)
    return EmbeddedNetwork(
        ARCHITECTURES["dlrm"],
        {},
        sparse=("user_id", "item_id"),
        num_dense=1,
        num_embeddings=NumEmbeddings(user_id=ROWS, item_id=ROWS),
        embedding_dim=4,
        sequence_length=0,
        managed=ManagedCollision(tables=["user_id", "item_id"], eviction_interval=interval),
    )


def batch(users: torch.Tensor, items: torch.Tensor, clicked: int = 0) -> FoundationBatch:
    """BATCH examples; the clicked items of each, so many, are all different."""
    sparse = KeyedJaggedTensor(
        keys=["user_id", "item_id", CLICKED],
        values=torch.cat([users, items, 10**9 + torch.arange(clicked * BATCH)]),
        lengths=torch.tensor([1] * 2 * BATCH + [clicked] * BATCH),
    )
    return FoundationBatch(sparse, torch.zeros(BATCH, 1), torch.zeros(0, 2))


def held(model: torch.nn.Module, table: str) -> set[int]:
    """Ids that have a row of their own."""
    raw = next(v for k, v in model.state_dict().items() if table in k and "sorted_raw_ids" in k)
    return {int(i) for i in raw.local_shards()[0].tensor if int(i) < 2**62}


def test_every_id_of_an_interval_is_counted_however_small_its_first_batch(group: torch.device):
    model = shard(network(interval=2), group, embedding_learning_rate=0.5)
    ids = torch.arange(BATCH)
    for clicked in (0, 5):
        model(batch(ids, ids, clicked)).logits.sum().backward()
    assert held(model, "item_id") == {*range(BATCH), *(10**9 + n for n in range(5 * BATCH))}
    for _ in range(2):  # and again after an interval
        model(batch(ids, ids + 100, 5)).logits.sum().backward()
    assert {*range(100, 100 + BATCH)} <= held(model, "item_id")


def test_an_id_starts_with_weights_of_its_own_whatever_row_it_gets(group: torch.device):
    module = network(interval=1)
    first = FirstWeights("user_id", rows=ROWS, embedding_dim=4)
    model = shard(module, group, embedding_learning_rate=0.5)
    weights = next(v for k, v in model.state_dict().items() if k.endswith("user_id.weight")).local_shards()[0].tensor
    ids = torch.arange(BATCH)
    for generation in range(ROWS // BATCH + 2):
        model(batch(1000 * generation + ids, ids)).logits.sum().backward()
    model(batch(10**6 + ids, ids))  # rows are assigned in the forward pass; nothing is learnt
    starts = first.of((10**6 + ids) % ROWS)
    got = [(weights == start).all(dim=1).nonzero().flatten().tolist() for start in starts]
    assert len({row for rows in got for row in rows}) == BATCH


def test_new_ids_get_rows_of_their_own_and_old_ones_give_theirs_back(group: torch.device):
    model = shard(network(interval=INTERVAL), group, embedding_learning_rate=0.5)
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
            model(batch(users, torch.arange(BATCH))).logits.sum().backward()

    def learnt() -> torch.Tensor:
        return momentum.flatten() > 0

    learn(0)
    assert int(learnt()[:-1].sum()) == BATCH  # and the last row, which ids share until they get their own
    assert not torch.equal(table, fresh)
    generations = ROWS // BATCH + 2
    for generation in range(1, generations):
        learn(generation)
    assert int(learnt().sum()) <= ROWS
    newest = {10**15 + 1000 * (generations - 1) + n for n in range(BATCH)}
    oldest = {10**15 + n for n in range(BATCH)}
    assert newest <= held(model, "user_id") and not oldest <= held(model, "user_id")
