"""LoopFM's compressor: stop-gradient, where it starts, what it learns (arXiv:2605.29280, section 4)."""

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from models.layers.compressor import Compressor, unsquashed


def test_compressor_gives_no_gradient_to_the_foundation_model():
    compressor = Compressor(16, 4)
    hidden = torch.randn(8, 16, requires_grad=True)
    code, loss = compressor(hidden)
    (loss.sum() + code.sum()).backward()
    assert hidden.grad is None
    assert all(p.grad is not None for p in compressor.parameters())
    assert code.abs().max() < 1


def test_compressor_learns_to_reconstruct_what_fits_its_code():
    torch.manual_seed(0)
    low_rank = torch.randn(512, 3) @ torch.randn(3, 16)
    compressor = Compressor(16, 8)
    optimizer = torch.optim.Adam(compressor.parameters(), lr=0.02)
    first = compressor(low_rank)[1].mean().item()
    for _ in range(200):
        loss = compressor(low_rank)[1].mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.1 * first


def test_a_code_with_prefixes_reconstructs_better_the_more_of_it_is_read():
    torch.manual_seed(0)
    mixed = torch.randn(512, 12) * torch.linspace(2, 0.1, 12) @ torch.randn(12, 16)
    train, held_out = mixed[:384], mixed[384:]
    compressor = Compressor(16, 8, (2, 4))
    optimizer = torch.optim.Adam(compressor.parameters(), lr=0.01)
    for _ in range(300):
        optimizer.zero_grad()
        compressor(train)[1].mean().backward()
        optimizer.step()
    compressor.eval()
    errors = compressor.errors(compressor(held_out)[0], compressor.norm(held_out))
    mean = {width: error.mean().item() for width, error in errors.items()}
    assert list(mean) == [2, 4, 8]
    assert mean[2] > mean[4] > mean[8]
    assert compressor(held_out)[1].mean().item() == pytest.approx(sum(mean.values()), abs=1e-6)


def test_codes_start_at_the_principal_components_of_what_was_seen():
    torch.manual_seed(0)
    rows = torch.randn(4000, 5) * torch.tensor([4.0, 3.0, 2.0, 1.0, 0.5]) @ torch.randn(5, 16) + 1.0
    compressor = Compressor(16, 3, (1,))
    for batch in rows.chunk(40):
        compressor.train()(batch)
    compressor.eval().start()
    components = PCA(3).fit(compressor.norm(rows).numpy()).components_
    found = compressor.encoder.weight.detach().numpy()
    assert np.abs(components @ found.T) == pytest.approx(np.eye(3), abs=0.15)
    code = compressor(rows)[0].detach()
    assert code.T.corrcoef().numpy() == pytest.approx(np.eye(3), abs=0.1)
    assert code.std(dim=0).min() > 0.3 and (code.abs() > 0.99).float().mean() < 0.01
    started = compressor.encoder.weight.clone()
    compressor.train()(rows[:100] * 3)
    compressor.start()
    assert torch.equal(compressor.encoder.weight, started)
    residual = PCA(3).fit(compressor.norm(rows).numpy()).noise_variance_ * 13 / 16
    errors = {width: error.mean().item() for width, error in compressor.errors(code, compressor.norm(rows)).items()}
    assert residual < errors[3] < errors[1]


def test_codes_of_a_compressor_that_saw_nothing_keep_their_random_weights():
    compressor = Compressor(16, 3).eval()
    weight = compressor.encoder.weight.clone()
    compressor.start()
    assert torch.equal(compressor.encoder.weight, weight)


def test_a_code_must_not_be_wider_than_the_layer():
    with pytest.raises(ValueError, match="code_dim 32 is wider than the hidden layer it is made of, 16"):
        Compressor(16, 32)


def test_a_prefix_must_be_shorter_than_the_code():
    with pytest.raises(ValueError, match=r"code_prefixes \[8\] must lie between 1 and code_dim - 1 = 7"):
        Compressor(16, 8, (8,))


def test_alignment_undoes_a_rotation_of_the_codes_and_leaves_the_reconstruction():
    torch.manual_seed(0)
    compressor = Compressor(16, 4).eval()
    hidden = torch.randn(256, 16)
    code, loss = compressor(hidden)
    turn = torch.linalg.qr(torch.randn(4, 4)).Q
    earlier = torch.tanh(0.5 * unsquashed(code) @ turn)
    compressor.align(unsquashed(code).T @ unsquashed(earlier))
    aligned, loss_then = compressor(hidden)
    assert torch.allclose(aligned, earlier, atol=1e-4) and not torch.allclose(aligned, code, atol=0.1)
    assert torch.equal(loss, loss_then)
    assert torch.allclose(compressor.rotation @ compressor.rotation.T, torch.eye(4), atol=1e-5)
    compressor.align(unsquashed(aligned).T @ unsquashed(code))  # and back again: turns add up
    assert torch.allclose(compressor(hidden)[0], code, atol=1e-4)


def test_alignment_is_the_best_of_many_rotations():
    torch.manual_seed(0)
    compressor = Compressor(16, 3).eval()
    hidden, earlier = torch.randn(128, 16), torch.tanh(0.5 * torch.randn(128, 3))
    compressor.align(unsquashed(compressor(hidden)[0]).T @ unsquashed(earlier))
    now = unsquashed(compressor(hidden)[0])
    best = (now - unsquashed(earlier)).square().sum()
    for _ in range(50):
        turn = torch.linalg.qr(torch.eye(3) + 0.3 * torch.randn(3, 3)).Q
        assert (now @ turn - unsquashed(earlier)).square().sum() >= best - 1e-3
