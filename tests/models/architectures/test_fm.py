"""The factorization machine and DeepFM against their definitions."""

import torch

from tests.models.architectures.inputs import SIZES, inputs, network

TERMS = (SIZES.num_sparse + 2) * SIZES.embedding_dim


def test_pairwise_products_equal_a_loop():
    model, x = network("fm"), inputs([0, 0])
    for row in range(2):
        vectors = [*x.tokens[row], model.dense(x.dense[row])]
        pairs = sum(vectors[i] * vectors[j] for i in range(6) for j in range(i + 1, 6))
        assert torch.allclose(model(*x)[row], torch.cat([*vectors, pairs]), atol=1e-5)


def test_deepfm_is_a_machine_beside_an_mlp_on_the_same_vectors():
    model, x = network("deepfm", deep=[9, 7]), inputs([0, 0])
    deep, terms = model(*x).split([7, TERMS], dim=1)
    assert torch.equal(deep, model.deep(torch.cat([x.tokens.flatten(1), x.dense], dim=1)))
    assert torch.equal(terms, model.machine(*x))
