"""What holds for every vertical architecture: shapes, gradients, histories, learning, names of weights."""

import pytest
import torch

from config import VerticalSettings
from models.architectures import ARCHITECTURES
from models.layers.history import HISTORY_ENCODERS
from models.vertical import build_vertical
from models.vertical.batch import History, VerticalBatch
from models.vertical.network import VerticalNetwork

ROWS, SLOTS = 20, 5


def vertical(name: str, *, use_history: bool = True, **hyperparameters) -> VerticalNetwork:
    torch.manual_seed(0)
    settings = VerticalSettings.model_validate(
        {
            "architecture": name,
            "hyperparameters": hyperparameters,
            "embedding_dim": 8,
            "optimizer": {"batch_size": 8, "learning_rate": 0.01, "embedding_learning_rate": 0.1},
        }
    )
    tables = {"category": ROWS, "item_id": ROWS}
    reads = {"code_dim": 4, "history_ids": ("item_id",)} if use_history else {}
    return build_vertical(settings, num_embeddings=tables, num_dense=3, history_length=SLOTS, **reads)


def vertical_batch(lengths: list[int], *, L: int = SLOTS) -> VerticalBatch:
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
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_parameter_gets_gradient(name, use_history):
    model = vertical(name, use_history=use_history)
    output = model(vertical_batch([5, 0, 3, 2]))
    assert output.logits.shape == (4,) and output.hidden.shape == (4, model.hidden_dim)
    output.logits.square().sum().backward()
    assert not [key for key, p in model.named_parameters() if p.grad is None or not p.grad.any()]


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_an_empty_history_gives_finite_scores(name):
    model = vertical(name).eval()
    assert torch.isfinite(model(vertical_batch([0])).logits).all()
    model.train()(vertical_batch([0, 0])).logits.sum().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.parameters())


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_one_row_scores_as_it_does_among_others(name):
    model, batch = vertical(name).eval(), vertical_batch([5, 0, 3])
    assert torch.allclose(model(batch).logits[2:], model(batch.part(2, 1)).logits, atol=1e-5)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_what_masked_slots_hold_does_not_matter(name):
    model, batch = vertical(name).eval(), vertical_batch([5, 0, 3])
    empty = ~batch.history.mask
    history = batch.history._replace(
        codes=batch.history.codes.masked_fill(empty.unsqueeze(-1), 9.0),
        ids=batch.history.ids.masked_fill(empty.unsqueeze(-1), 7),
        ages=batch.history.ages.masked_fill(empty, 9.0),
    )
    assert torch.equal(model(batch).logits, model(batch._replace(history=history)).logits)


@pytest.mark.parametrize("name", ARCHITECTURES)
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


def test_the_trunk_reads_the_architectures_output():
    model, batch = vertical("dcnv2", use_history=False).eval(), vertical_batch([0, 0])
    category, item = (model.embeddings[name](batch.sparse[:, i]) for i, name in enumerate(("category", "item_id")))
    tokens, nothing = torch.stack([category, item], dim=1), torch.zeros(2, 0, 0)
    output = model.architecture(tokens, model.norm(batch.dense), nothing, nothing.bool())
    assert torch.allclose(model(batch).hidden, model.trunk(output), atol=1e-6)


def test_without_hidden_layers_the_head_reads_the_machine_itself():
    model, batch = vertical("fm", hidden=[], use_history=False).eval(), vertical_batch([0, 0])
    terms = model.architecture(*model.embed(batch))
    assert model.hidden_dim == model.architecture.output_dim == 4 * 8
    assert torch.equal(model(batch).hidden, terms)
    assert torch.equal(model(batch).logits, model.head(terms).squeeze(-1))


def test_what_the_history_is_asked_and_what_its_slots_say_are_written_out():
    model, batch = vertical("dnn").eval(), vertical_batch([5, 0, 3])
    told = []
    model.history.register_forward_pre_hook(lambda module, arguments: told.append(arguments))
    model(batch)
    candidate, tokens, mask, shared = told[0]
    slots = torch.cat([tokens, shared], dim=-1)
    history, item = batch.history, batch.sparse[:, 1]
    assert torch.equal(candidate, torch.cat([history.item_code, model.embeddings["item_id"](item)], dim=1))
    for row in range(3):
        for slot in range(SLOTS):
            code, asked = history.codes[row, slot], history.item_code[row]
            closeness = code @ asked / (code.norm() * asked.norm()).clamp(min=1e-8)
            expected = torch.cat(
                [
                    code,
                    model.embeddings["item_id"](history.ids[row, slot, 0]),
                    torch.stack([history.labels[row, slot], history.ages[row, slot], closeness]),
                    (history.ids[row, slot] == item[row]).float(),
                ]
            )
            assert torch.allclose(slots[row, slot], expected, atol=1e-6)
    assert torch.equal(mask, history.mask)


@pytest.mark.parametrize("encoder", ["activation_unit", "mean", "multi_interest", "sum", "target_attention"])
def test_that_the_candidate_was_seen_before_is_told_though_no_embedding_knows_it(encoder):
    model, batch = vertical("dnn", history_encoder=encoder).eval(), vertical_batch([3, 3])
    torch.nn.init.zeros_(model.embeddings["item_id"].weight)
    never, once = batch.sparse[:, 1].view(2, 1, 1).repeat(1, SLOTS, 1) + 1, batch.sparse[:, 1].view(2, 1, 1)
    before = batch._replace(history=batch.history._replace(ids=never % ROWS))
    seen = batch._replace(history=batch.history._replace(ids=torch.cat([once, never[:, 1:] % ROWS], dim=1)))
    other = batch._replace(history=batch.history._replace(ids=(never + 1) % ROWS))
    assert torch.equal(model(before).logits, model(other).logits)
    assert (model(before).logits != model(seen).logits).all()


@pytest.mark.parametrize("architecture", ["din", "interformer"])
def test_an_architecture_that_reads_the_sequence_is_given_the_items_with_labels_and_ages(architecture):
    model, batch = vertical(architecture, use_history=False).eval(), vertical_batch([5, 2])
    x, history = model.embed(batch), batch.history
    assert torch.equal(x.sequence[..., :8], model.embeddings["item_id"](history.ids[..., 0]))
    assert torch.equal(x.sequence[..., 8:], torch.stack([history.labels, history.ages], dim=-1))
    assert torch.equal(x.mask, history.mask)
    logits = model(batch).logits
    for changed in ({"ids": (history.ids + 1) % ROWS}, {"labels": 1 - history.labels}, {"ages": history.ages + 1}):
        assert not torch.allclose(model(batch._replace(history=history._replace(**changed))).logits, logits)


@pytest.mark.parametrize(
    ("name", "encoder"),
    [*((name, "target_attention") for name in ARCHITECTURES), *(("dnn", encoder) for encoder in HISTORY_ENCODERS)],
)
def test_a_users_history_is_read_once_for_all_his_candidates(name, encoder):
    model, batch = vertical(name, history_encoder=encoder).eval(), vertical_batch([5, 5, 5, 0, 0, 0, 3, 3, 3])
    users = batch.take(torch.tensor([0, 3, 6]))
    once = batch._replace(history=users.history._replace(item_code=batch.history.item_code))
    each = batch.take(torch.tensor([0, 0, 0, 3, 3, 3, 6, 6, 6]))
    each = batch._replace(history=each.history._replace(item_code=batch.history.item_code))
    asked = []
    model.embeddings["item_id"].register_forward_pre_hook(lambda table, arguments: asked.append(arguments[0].shape))
    logits = model(once).logits
    assert (9, SLOTS) not in asked and (3, SLOTS) in asked
    assert len(set(logits.tolist())) == 9
    assert torch.allclose(logits, model(each).logits, atol=1e-6)


def test_unknown_names_are_answered_with_the_known_ones():
    known = ", ".join(sorted(ARCHITECTURES))
    with pytest.raises(ValueError, match=f"'cetnet' in vertical_model.architecture. Known: {known}."):
        vertical("cetnet")
    with pytest.raises(ValueError, match="Unknown hyperparameters 'head': a vertical model of architecture DLRM has "):
        vertical("dlrm", head=[4])


@pytest.mark.parametrize("name", ARCHITECTURES)
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


def test_a_dense_value_far_from_all_that_was_learnt_is_taken_for_the_farthest():
    """A new item's price is 0 to the network, where all others are about 10."""
    model = vertical("dnn").eval()
    model.norm.running_mean.fill_(10.0)
    model.norm.running_var.fill_(0.04)
    unknown, farthest = vertical_batch([2]), vertical_batch([2])
    unknown.dense.fill_(0.0)
    farthest.dense.fill_(10.0 - 5.001 * 0.2)
    assert torch.equal(model(unknown).logits, model(farthest).logits)
    farthest.dense.fill_(10.0 - 4.5 * 0.2)
    assert not torch.equal(model(unknown).logits, model(farthest).logits)
