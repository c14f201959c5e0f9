"""What holds for every vertical architecture: shapes, gradients, histories, learning, names of weights."""

import pytest
import torch

from config import VerticalModel
from models.vertical import VERTICAL_MODELS, build_vertical
from models.vertical.network import History, VerticalBatch, VerticalNetwork

ROWS = 20


def vertical(name: str, *, use_history: bool = True, **hyperparameters) -> VerticalNetwork:
    torch.manual_seed(0)
    settings = VerticalModel.model_validate(
        {
            "architecture": name,
            "hyperparameters": hyperparameters,
            "embedding_dim": 8,
            "optimizer": {"batch_size": 8, "learning_rate": 0.01, "embedding_learning_rate": 0.1},
        }
    )
    tables = {"category": ROWS, "item_id": ROWS}
    reads = {"code_dim": 4, "history_ids": ("item_id",)} if use_history else {}
    return build_vertical(settings, num_embeddings=tables, num_dense=3, **reads)


def vertical_batch(lengths: list[int], *, L: int = 5) -> VerticalBatch:
    generator = torch.Generator().manual_seed(1)
    B = len(lengths)
    mask = torch.arange(L) < torch.tensor(lengths).unsqueeze(1)
    history = History(
        codes=torch.randn(B, L, 4, generator=generator) * mask.unsqueeze(-1),
        ids=(torch.randint(ROWS, (B, L), generator=generator) * mask).unsqueeze(-1),
        labels=(torch.rand(B, L, generator=generator) < 0.5).float() * mask,
        ages=torch.rand(B, L, generator=generator) * mask,
        mask=mask,
        item_code=torch.randn(B, 4, generator=generator),
    )
    sparse = torch.randint(ROWS, (B, 2), generator=generator)
    return VerticalBatch(torch.randn(B, 3, generator=generator), sparse, history)


@pytest.mark.parametrize("use_history", [True, False])
@pytest.mark.parametrize("name", VERTICAL_MODELS)
def test_every_parameter_gets_gradient(name, use_history):
    model = vertical(name, use_history=use_history)
    output = model(vertical_batch([5, 0, 3, 2]))
    assert output.logits.shape == (4,) and output.hidden.shape == (4, model.hidden_dim)
    output.logits.square().sum().backward()
    assert not [key for key, p in model.named_parameters() if p.grad is None or not p.grad.any()]


@pytest.mark.parametrize("name", VERTICAL_MODELS)
def test_an_empty_history_gives_finite_scores(name):
    model = vertical(name).eval()
    assert torch.isfinite(model(vertical_batch([0])).logits).all()
    model.train()(vertical_batch([0, 0])).logits.sum().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.parameters())


@pytest.mark.parametrize("name", VERTICAL_MODELS)
def test_one_row_scores_as_it_does_among_others(name):
    model, batch = vertical(name).eval(), vertical_batch([5, 0, 3])
    assert torch.allclose(model(batch).logits[2:], model(batch.part(2, 1)).logits, atol=1e-5)


@pytest.mark.parametrize("name", VERTICAL_MODELS)
def test_what_masked_slots_hold_does_not_matter(name):
    model, batch = vertical(name).eval(), vertical_batch([5, 0, 3])
    empty = ~batch.history.mask
    history = batch.history._replace(
        codes=batch.history.codes.masked_fill(empty.unsqueeze(-1), 9.0),
        ids=batch.history.ids.masked_fill(empty.unsqueeze(-1), 7),
        ages=batch.history.ages.masked_fill(empty, 9.0),
    )
    assert torch.equal(model(batch).logits, model(batch._replace(history=history)).logits)


@pytest.mark.parametrize("name", VERTICAL_MODELS)
def test_a_baseline_takes_no_codes(name):
    model, batch = vertical(name, use_history=False).eval(), vertical_batch([5, 0, 3])
    history = batch.history._replace(codes=batch.history.codes + 1, item_code=batch.history.item_code + 1)
    assert torch.equal(model(batch).logits, model(batch._replace(history=history)).logits)


def test_din_weighs_the_items_of_the_history_for_the_candidate():
    model, batch = vertical("din", use_history=False).eval(), vertical_batch([5, 2])
    other = batch.history._replace(ids=(batch.history.ids + 1) % ROWS)
    assert not torch.allclose(model(batch).logits, model(batch._replace(history=other)).logits)
    dnn = vertical("dnn", use_history=False).eval()
    assert torch.equal(dnn(batch).logits, dnn(batch._replace(history=other)).logits)


@pytest.mark.parametrize("rank", [None, 4])
def test_dcnv2_equals_the_formula(rank):
    model, batch = vertical("dcnv2", rank=rank, num_cross_layers=1, use_history=False).eval(), vertical_batch([0, 0])
    category, item = (model.embeddings[name](batch.sparse[:, i]) for i, name in enumerate(("category", "item_id")))
    x = torch.cat([category, item, model.norm(batch.dense)], dim=1)
    crossed = x * model.cross.layers[0](x) + x
    assert torch.allclose(model(batch).hidden, model.trunk(crossed), atol=1e-5)


@pytest.mark.parametrize("name", VERTICAL_MODELS)
def test_overfits_a_few_rows(name):
    model, batch = vertical(name), vertical_batch([3] * 32)
    labels = (torch.rand(32, generator=torch.Generator().manual_seed(3)) < 0.5).float()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(80):
        loss = torch.nn.functional.binary_cross_entropy_with_logits(model(batch).logits, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.05


def test_names_of_dnn_weights_are_those_of_saved_models():
    assert set(vertical("dnn").state_dict()) == {
        "embeddings.category.weight",
        "embeddings.item_id.weight",
        *(f"norm.{part}" for part in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")),
        *(f"history.{layer}.{part}" for layer in ("query", "key_value") for part in ("weight", "bias")),
        *(f"{layer}.{part}" for layer in ("trunk.0", "trunk.2", "head") for part in ("weight", "bias")),
    }
