"""What holds for every foundation model, of any architecture or an ensemble: it scores and learns from ids."""

import pytest
import torch

from models.architectures import ARCHITECTURES
from models.foundation.foundation_model import reads_sequence
from tests.models.foundation.models import foundation_batch, foundation_config, foundation_model

PAIR = [{"architecture": "interformer"}, {"architecture": "dhen", "embedding_dim": 16}]
MODELS = [*((name, {}) for name in ARCHITECTURES), ("cetnet", {"members": PAIR})]


@pytest.mark.parametrize(("name", "hyperparameters"), MODELS, ids=[name for name, _ in MODELS])
@pytest.mark.parametrize("lengths", [[6], [0], [3, 0, 6]], ids=str)
def test_a_foundation_model_scores_and_learns_from_ids(name, hyperparameters, lengths):
    model, batch = foundation_model(name, **hyperparameters), foundation_batch(lengths)
    coded = model(batch)
    loss = model.loss(coded.output, torch.ones(len(lengths))) + coded.reconstruction_loss
    loss.sum().backward()
    assert loss.shape == coded.output.logits.shape == (len(lengths),) and coded.code.shape == (len(lengths), 4)
    assert torch.isfinite(loss).all()
    without = [key for key, p in model.named_parameters() if p.grad is None or not torch.isfinite(p.grad).all()]
    assert not without
    if min(lengths):
        assert not [key for key, p in model.named_parameters() if not p.grad.any()]


def test_an_ensemble_reads_the_sequence_if_a_member_does():
    assert reads_sequence(foundation_config("din")) and not reads_sequence(foundation_config("dnn"))
    assert reads_sequence(foundation_config("cetnet", members=PAIR))
    assert not reads_sequence(foundation_config("cetnet", members=[{"architecture": "dnn"}, {"architecture": "fm"}]))


def test_an_unknown_architecture_is_answered_with_all_known_ones():
    known = ", ".join(sorted([*ARCHITECTURES, "cetnet"]))
    for asked in (foundation_model, lambda name: reads_sequence(foundation_config(name))):
        with pytest.raises(ValueError, match=f"'cetnt' in foundation_model.architecture. Known: {known}."):
            asked("cetnt")


def test_an_ensemble_has_architectures_for_members_not_ensembles():
    members = [{"architecture": "dhen"}, {"architecture": "cetnet"}]
    with pytest.raises(ValueError, match=r"'cetnet' in foundation_model\.hyperparameters\.members\.1\.architecture"):
        foundation_model("cetnet", members=members)


def test_members_have_hyperparameters_of_their_own_head():
    members = [{"architecture": "dnn", "hyperparameters": {"head": [7]}}, {"architecture": "fm"}]
    assert foundation_model("cetnet", members=members).network.hidden_dim == 7 + 256
    members[0]["hyperparameters"] = {"haed": [7]}
    with pytest.raises(ValueError, match="Unknown hyperparameters 'haed': a foundation model of architecture DNN has"):
        foundation_model("cetnet", members=members)
