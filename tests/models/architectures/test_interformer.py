"""InterFormer: shapes, directions of flow, padding, rotation, pooling, gradients."""

import pytest
import torch
from torch.nn.functional import pad

from models.architectures.architecture import Inputs
from models.architectures.interformer import InterFormerConfig, SequenceArch
from models.layers.attention import AttentionPooling, SelfAttention, rotate
from models.layers.gating import Gating
from models.layers.personalized import PersonalizedFeedForward
from tests.models.architectures.inputs import SIZES, inputs, network

VARIANTS = [
    *(
        {"flow": flow, "last_layer": last}
        for flow in ("int", "n2s", "s2n", "sep", "sole")
        for last in ("fixed", "literal")
    ),
    *({"backbone": backbone, "backbone_layers": 2} for backbone in ("dot", "dcn", "dhen")),
    *({"gate": gate} for gate in ("identity", "literal_sigmoid", "literal_tanh", "none")),
    *({"pffn": pffn, "flow": flow} for pffn in ("lowrank", "none") for flow in ("int", "n2s")),
    {"rope": False},
    {"residual": False},
    {"residual": False, "pffn": "lowrank"},
    {"num_pma": 0},
    {"num_recent": 0},
]


def changed_history(x: Inputs) -> Inputs:
    return x._replace(sequence=x.sequence + x.mask.unsqueeze(-1))


def changed_features(x: Inputs) -> Inputs:
    return x._replace(tokens=x.tokens + 1, dense=x.dense + 1)


@pytest.mark.parametrize("num_layers", [1, 2, 3])
@pytest.mark.parametrize("hyperparameters", [{}, *VARIANTS], ids=str)
def test_every_parameter_gets_gradient(hyperparameters, num_layers):
    model = network("interformer", num_layers=num_layers, **hyperparameters)
    output = model(*inputs([6, 3, 4]))
    output.backward(torch.randn(output.shape))
    dead = [key for key, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert not dead


@pytest.mark.parametrize("hyperparameters", VARIANTS, ids=str)
def test_every_variant_is_finite_for_an_empty_history(hyperparameters):
    model = network("interformer", **hyperparameters)
    output = model(*inputs([0, 2]))
    output.sum().backward()
    assert torch.isfinite(output).all()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.parameters())


def test_streams_keep_their_shapes_and_summaries_have_theirs():
    model, x = network("interformer", num_layers=3), inputs([6, 0, 2])
    N, d, T = SIZES.num_sparse + 1, SIZES.embedding_dim, SIZES.sequence_length
    streams = model.start(*x)
    for layer in model.layers:
        assert streams.features.shape == (3, N, d) and streams.history.shape == (3, 4 + T, d)
        assert layer.feature_summary(streams.features).shape == (3, 4, d)
        assert layer.history_summary(streams.history, streams.mask).shape == (3, 8, d)
        streams = layer(streams)
    assert streams.features.shape == (3, N, d) and streams.history.shape == (3, 4 + T, d)


def test_history_starts_with_the_features_summary():
    model, x = network("interformer"), inputs([6, 2])
    start = model.start(*x)
    assert torch.equal(start.history[:, :4], model.layers[0].feature_summary(start.features))


@pytest.mark.parametrize(
    ("flow", "history_moves_features", "features_move_history"),
    [("int", True, True), ("s2n", True, False), ("n2s", False, True), ("sep", False, False)],
)
def test_flow_goes_in_the_configured_directions_only(flow, history_moves_features, features_move_history):
    model, x = network("interformer", flow=flow), inputs([6, 3])
    before = model.streams(*x)
    after_history, after_features = model.streams(*changed_history(x)), model.streams(*changed_features(x))
    assert torch.equal(before.features, after_history.features) != history_moves_features
    assert torch.equal(before.history, after_features.history) != features_move_history
    assert not torch.equal(before.history, after_history.history)
    assert not torch.equal(before.features, after_features.features)


def test_sole_flow_sees_the_mean_of_the_history_only():
    model, x = network("interformer", flow="sole"), inputs([6, 6])
    assert torch.allclose(model(*x), model(*x._replace(sequence=x.sequence.flip(1))), atol=1e-5)
    assert not torch.allclose(model(*x), model(*changed_history(x)))


@pytest.mark.parametrize("hyperparameters", [{}, *VARIANTS], ids=str)
def test_more_padding_changes_nothing(hyperparameters):
    model, x = network("interformer", **hyperparameters), inputs([6, 0, 3])
    padded = x._replace(sequence=pad(x.sequence, (0, 0, 0, 10)), mask=pad(x.mask, (0, 10)))
    assert (model(*x) - model(*padded)).abs().max() < 1e-5


def test_rotated_scores_depend_on_distances_only():
    torch.manual_seed(0)
    q, k, positions = torch.randn(2, 2, 5, 8), torch.randn(2, 2, 5, 8), torch.arange(5)
    scores, shifted = (rotate(q, p) @ rotate(k, p).transpose(2, 3) for p in (positions, positions + 10))
    assert torch.allclose(scores, shifted, atol=1e-5)
    assert torch.equal(rotate(q, torch.zeros(5)), q)
    assert not torch.allclose(scores, q @ k.transpose(2, 3), atol=1e-2)


def sequence_arch(**hyperparameters) -> SequenceArch:
    """Two CLS rows; no features' summary moves the history."""
    torch.manual_seed(0)
    config = InterFormerConfig.model_validate({"num_summary": 2, "pffn": "none", "residual": False} | hyperparameters)
    return SequenceArch(config, 8)


def test_cls_rows_lie_at_position_0_and_the_newest_step_at_1():
    arch, history = sequence_arch(), torch.randn(1, 5, 8)  # 2 CLS, 3 steps
    mask = torch.ones(1, 5, dtype=torch.bool)
    q, k, v = arch.attention.query_key_value(history[0]).chunk(3, dim=-1)
    q, k = (part.unflatten(1, (2, 4)).transpose(0, 1) for part in (q, k))  # (heads, 5, 4)
    positions = torch.tensor([0, 0, 1, 2, 3])
    scores = rotate(q, positions) @ rotate(k, positions).transpose(1, 2) / 2.0  # sqrt(4) = 2
    attended = torch.softmax(scores, dim=2) @ v.unflatten(1, (2, 4)).transpose(0, 1)
    expected = arch.attention.output(attended.transpose(0, 1).flatten(1))
    assert torch.allclose(arch(history, mask, None)[0], expected, atol=1e-5)


def test_no_cls_row_is_nearer_to_a_step_than_another():
    arch, history = sequence_arch(residual=True), torch.randn(2, 6, 8)
    mask = torch.tensor([[True] * 6, [True] * 4 + [False] * 2])
    swapped = arch(history[:, [1, 0, 2, 3, 4, 5]], mask, None)
    assert torch.allclose(swapped[:, [1, 0, 2, 3, 4, 5]], arch(history, mask, None), atol=1e-5)
    steps = arch(history[:, [0, 1, 3, 2, 4, 5]], mask, None)[:, [0, 1, 3, 2, 4, 5]]
    assert not torch.allclose(steps, arch(history, mask, None), atol=1e-3)  # but a step's place tells


def test_self_attention_equals_attention_written_out():
    torch.manual_seed(0)
    attention, x = SelfAttention(8, num_heads=2), torch.randn(1, 4, 8)
    mask = torch.tensor([[True, True, False, True]])
    q, k, v = attention.query_key_value(x[0]).chunk(3, dim=-1)
    parts = []
    for head in (slice(0, 4), slice(4, 8)):
        scores = (q[:, head] @ k[:, head].T / 2.0).masked_fill(~mask, float("-inf"))  # sqrt(4) = 2
        parts.append(torch.softmax(scores, dim=1) @ v[:, head])
    assert torch.allclose(attention(x, mask)[0], attention.output(torch.cat(parts, dim=1)), atol=1e-5)


def test_heads_must_be_of_even_width():
    with pytest.raises(ValueError, match="2 heads need an embedding width that 4 divides, not 6"):
        SelfAttention(6, num_heads=2)


@pytest.mark.parametrize(("kind", "rank"), [("lowrank", 4), ("full", 16)])
def test_rank_of_the_personal_matrix(kind, rank):
    torch.manual_seed(0)
    pffn = PersonalizedFeedForward(16, num_summary=4, kind=kind, hidden=64, residual=False).double()
    summary = torch.randn(5, 4, 16, dtype=torch.float64)
    assert (torch.linalg.matrix_rank(pffn.weight(summary)) == rank).all()


def test_personal_matrix_is_applied_to_each_row_of_the_history():
    torch.manual_seed(0)
    pffn = PersonalizedFeedForward(8, num_summary=4, kind="full", hidden=16, residual=True)
    summary, history = torch.randn(2, 4, 8), torch.randn(2, 3, 8)
    matrix = pffn.weight(summary)
    expected = torch.stack([history[b, t] + matrix[b] @ history[b, t] for b in range(2) for t in range(3)])
    assert torch.allclose(pffn(summary, history).flatten(0, 1), expected, atol=1e-5)
    assert (pffn(summary, history) - history).norm() < 0.2 * history.norm()  # starts near the identity


def test_shuffled_steps_keep_the_pooled_summary_and_change_the_recent():
    model, x = network("interformer", rope=False, num_layers=1), inputs([6, 6])
    shuffled = x._replace(sequence=x.sequence[:, [3, 1, 5, 0, 2, 4]])
    summary = model.history_summary
    summary.gate = torch.nn.Identity()
    rows, after = (summary(s.history, s.mask) for s in (model.streams(*x), model.streams(*shuffled)))
    assert torch.allclose(rows[:, :6], after[:, :6], atol=1e-5)  # 4 CLS, 2 PMA
    assert not torch.allclose(rows[:, 6:], after[:, 6:], atol=1e-2)


def test_recent_rows_are_the_newest_steps():
    model, x = network("interformer"), inputs([6, 1])
    summary, start = model.history_summary, model.start(*x)
    summary.gate = torch.nn.Identity()
    assert torch.equal(summary(start.history, start.mask)[:, 6:], start.history[:, 4:6])
    assert not start.history[1, 5].any()  # there is no second newest step


def test_order_matters_only_through_rotation_and_recent_steps():
    x = inputs([6, 6])
    flipped = x._replace(sequence=x.sequence.flip(1))
    for hyperparameters, same in [({"rope": False, "num_recent": 0}, True), ({"num_recent": 0}, False)]:
        model = network("interformer", **hyperparameters)
        assert torch.allclose(model(*x), model(*flipped), atol=1e-5) == same


def test_pooling_ignores_masked_rows():
    torch.manual_seed(0)
    pooling, x = AttentionPooling(8, num_queries=2, num_heads=2), torch.randn(3, 5, 8)
    mask = torch.ones(3, 5, dtype=torch.bool)
    mask[:, 3:] = False
    assert torch.allclose(pooling(x, mask), pooling(x[:, :3], mask[:, :3]), atol=1e-6)


def test_gates_equal_their_formulas():
    z = torch.randn(2, 3, 4)
    for kind, formula in {
        "standard": lambda product, inner: z * torch.sigmoid(inner),
        "identity": lambda product, inner: product,
        "literal_sigmoid": lambda product, inner: torch.sigmoid(product),
        "literal_tanh": lambda product, inner: torch.tanh(product),
    }.items():
        gate = Gating(4, kind)
        inner = gate.mlp(z)
        assert torch.allclose(gate(z), formula(z * inner, inner))
    assert torch.equal(Gating(4, "none")(z), z)


def test_literal_last_layer_scores_what_the_layer_before_puts_out():
    literal = network("interformer", num_layers=1, last_layer="literal")
    assert len(literal.layers) == 0
    assert len(network("interformer", num_layers=3, last_layer="literal").layers) == 2
    assert len(network("interformer", num_layers=3).layers) == 3
