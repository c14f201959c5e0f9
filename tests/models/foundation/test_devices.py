"""Networks make no tensor on another device than that of their input.

The meta device stands for a GPU: it holds no data, and refuses to mix with the CPU as a GPU does.
"""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

from models.architectures import ARCHITECTURES
from models.foundation.foundation_model import FoundationModel
from tests.models.foundation.models import foundation_batch, foundation_model

META = torch.device("meta")
PAIR = [{"architecture": "interformer"}, {"architecture": "dhen"}]
MODELS = [*((name, {}) for name in ARCHITECTURES), ("cetnet", {"members": PAIR})]


def moved(values: Any) -> Any:
    return tree_map_only(Tensor, lambda value: value.detach().to(META), values)


def calls(model: FoundationModel) -> list[tuple[nn.Module, Any]]:
    """The networks behind the tables, with the arguments that a batch gives them."""
    seen: list[tuple[nn.Module, Any]] = []
    embedded = getattr(model.network, "members", [model.network])
    hooks = [
        member.network.register_forward_pre_hook(lambda module, args: seen.append((module, args)))
        for member in embedded
    ]
    model(foundation_batch([2, 0, 6, 3]))
    for hook in hooks:
        hook.remove()
    return seen


def test_the_meta_device_refuses_the_cpu():
    with pytest.raises(RuntimeError, match="device"):
        torch.zeros(3, device=META) + torch.zeros(3)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_network_learns_where_its_input_is(name: str):
    model = foundation_model(name)
    ((network, args),) = calls(model)
    network.to(META)
    output = network(*moved(args))
    model.loss(output, torch.ones(4, device=META)).sum().backward()
    assert {value.device for value in (output.logits, output.hidden)} == {META}
    assert all(p.grad is not None and p.grad.device == META for p in network.parameters())


@pytest.mark.parametrize("confidence", ["entropy", "relative"])
@pytest.mark.parametrize("gradient", ["mutual", "detach_target"])
def test_an_ensemble_is_fused_where_its_members_are(confidence: str, gradient: str):
    settings = {"members": PAIR, "confidence": confidence, "gradient": gradient, "warmup_steps": 5}
    model = foundation_model("cetnet", **settings)
    output = model.network(foundation_batch([2, 0, 6, 3]))
    ensemble = model.network.to(META)
    logits = torch.stack(moved(output.members))
    moved_output = moved(output)._replace(logits=ensemble.fuse(logits))
    assert ensemble.loss(moved_output, torch.ones(4, device=META)).device == META
    assert ensemble.base_rate.device == META


def test_codes_are_made_where_the_hidden_layer_is():
    model = foundation_model("wukong")
    hidden = model.network(foundation_batch([2, 0, 6, 3])).hidden
    compressor = model.compressor
    compressor.started.fill_(1)  # else it asks for the flag's value, of which the meta device has none
    for part in (*compressor.decoders.values(), compressor.encoder, compressor.encoded):
        part.to(META)
    compressor.rotation = compressor.rotation.to(META)
    code, loss = compressor._encode(moved(hidden))  # forward asks for autocast, which the meta device has not
    loss.sum().backward()
    compressor.align(torch.zeros(4, 4, device=META))
    assert (code.device, compressor.encoder.weight.grad.device, compressor.rotation.device) == (META, META, META)
