"""All operations of a supernet at once, each under its gate; differentiable in gates and weights.

Values hold at every place what stands there times its gate, so an absent token or number is a zero. Norms and attention
leave absent places out by their gates. With all gates 0 or 1 this is one model of the space, at the cost of all.

B: batch, T: token places, V: vector places, e: embedding width
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.func import functional_call
from torch.nn.functional import glu, linear, relu

from models.architectures.architecture import Inputs
from models.graphs.operations import Interest
from models.layers.activation_unit import LocalActivationUnit
from models.layers.factorization import bi_interaction
from search.spaces.ranking import INTEREST_WIDTH, RANK
from search.supernet.gates import BlockGates, Gates
from search.supernet.shared import SharedWeights

EPSILON = 1e-5  # of norms, as LayerNorm's
ABSENT = 1e-12  # least gate of a key that attention knows
HEADS = 2  # of attention, as the space's


class Mixed(NamedTuple):
    """What a mixture gives."""

    logits: Tensor  # (B,)
    flops: Tensor  # of an example's forward pass, as if gates were chances that do not depend on each other


class Values(NamedTuple):
    """Gated values and their gates."""

    x: Tensor
    gate: Tensor


@dataclass
class _Stream:
    """What flows from block to block."""

    tokens: Values  # (B, T, e), (T,)
    vectors: Values  # (B, V), (V,)
    raw: list[Tensor]  # of the inputs at their first places, then read again: how surely attention left them alone


def mix(weights: SharedWeights, inputs: Inputs, gates: Gates) -> Mixed:
    """Runs all operations.

    Args:
        weights: of the supernet.
        inputs: embedded examples, with the history where its gate is not a constant 0.
        gates: of everything.
    """
    return _Mixture(weights, inputs, gates).run()


class _Mixture:
    def __init__(self, weights: SharedWeights, inputs: Inputs, gates: Gates) -> None:
        self.weights, self.slots, self.inputs, self.gates = weights, weights.slots, inputs, gates
        self.sizes = self.slots.sizes
        self.flops = torch.zeros(())

    def run(self) -> Mixed:
        B, e = len(self.inputs.dense), self.sizes.embedding_dim
        own = self._own_tokens()
        made = 2 * self.slots.made
        tokens = Values(torch.cat([own.x.new_zeros(B, made, e), own.x], 1), torch.cat([torch.zeros(made), own.gate]))
        inputs = self._own_vectors()
        stream = _Stream(tokens, inputs, [torch.ones(())])
        for n in self.slots.blocks:
            self._block(n, stream, own, inputs)
        return Mixed(self._head(stream, own, inputs), self.flops)

    def _own_tokens(self) -> Values:
        """Returns the tokens that come in and those of the dense features, (B, R, e)."""
        gate = torch.cat([torch.ones(self.sizes.num_sparse), self.gates.dense_tokens])
        x = self.inputs.tokens
        if count := len(self.gates.dense_tokens):
            spread = linear(self.inputs.dense, self._of("spread_0.inner.0.weight"), self._of("spread_0.inner.0.bias"))
            laid = self._norm("spread_0", spread.unflatten(1, (count, -1)), torch.ones(self.sizes.embedding_dim))
            x = torch.cat([x, laid * self.gates.dense_tokens[:, None]], dim=1)
            self._pay(2 * self.sizes.num_dense * self.sizes.embedding_dim * self.gates.dense_tokens.sum())
        return Values(x, gate)

    def _own_vectors(self) -> Values:
        """Returns the dense features and the interest, (B, N + e + 2)."""
        dense, gate = self.inputs.dense, self.gates.history
        if self.inputs.mask.shape[1]:
            interest = self._interest() * gate
            self._pay(gate * Interest(op="interest", width=INTEREST_WIDTH).flops([], self.sizes))
        else:
            interest, gate = dense.new_zeros(len(dense), self.sizes.step_dim), torch.zeros(())
        gates = torch.cat([torch.ones(self.sizes.num_dense), gate.expand(self.sizes.step_dim)])
        return Values(torch.cat([dense, interest], dim=1), gates)

    def _interest(self) -> Tensor:
        """Computes the local activation unit's pooling."""
        e = self.sizes.embedding_dim
        with torch.device("meta"):
            unit = LocalActivationUnit(e, num_scalars=self.sizes.step_dim - e, hidden=[INTEREST_WIDTH])
        own = {name: self._of(f"interest_0.{name}") for name, _ in unit.named_parameters()}
        x = self.inputs
        pooled: Tensor = functional_call(unit, own, (x.tokens[:, self.sizes.target], x.sequence, x.mask))
        return pooled

    def _block(self, n: int, stream: _Stream, own: Values, inputs: Values) -> None:
        """Moves the stream through a block."""
        gates = self.gates.blocks[n]
        if n in self.slots.again:
            absent = gates.reads_all * (1 - torch.stack(stream.raw).sum())
            again = Values(own.x * absent, own.gate * absent)
            stream.tokens = Values(
                *(torch.cat([a, b], -2 if a.dim() > 1 else 0) for a, b in zip(stream.tokens, again, strict=True))
            )
            stream.raw.append(absent)
            stream.vectors = self._reread(stream.vectors, inputs, gates.reads_all)
        stream.tokens = self._new_tokens(n, gates, stream.tokens)
        stream.raw = [sure * gates.same_tokens for sure in stream.raw]
        vectors = self._new_vectors(n, gates, stream.tokens, stream.vectors)
        pairs = self._pairs(n, gates, stream.tokens)
        same = Values(stream.vectors.x * gates.same_vectors, stream.vectors.gate * gates.same_vectors)
        width, cross = vectors
        parts = [same, width, *pairs, cross]
        stream.vectors = Values(torch.cat([p.x for p in parts], 1), torch.cat([p.gate for p in parts]))

    def _reread(self, vectors: Values, inputs: Values, again: Tensor) -> Values:
        """Adds the network's vectors where they are not there any more."""
        first = len(inputs.gate)
        present = vectors.gate[0]  # the dense features' own gate is 1
        missing = again * (1 - present)
        return Values(
            torch.cat([vectors.x[:, :first] + inputs.x * missing, vectors.x[:, first:]], 1),
            torch.cat([vectors.gate[:first] + inputs.gate * missing, vectors.gate[first:]]),
        )

    def _new_tokens(self, n: int, gates: BlockGates, tokens: Values) -> Values:
        x, gate = tokens
        e, present = self.sizes.embedding_dim, gate.sum()
        made = torch.zeros(len(x), 2 * self.slots.made, e), torch.zeros(2 * self.slots.made)
        own = self.weights.operations(n)
        ones = torch.ones(e)
        new: dict[str, Values] = {}
        weight = gates.operations
        if "lcb" in own:
            result = self._norm(f"lcb_{n}", self._of(f"lcb_{n}.inner.weight") @ x, ones)
            new["lcb"] = self._gated(result, weight["lcb"] * gates.count)
            self._pay(weight["lcb"] * 2 * gates.count.sum() * present * e)
        if "fmb" in own:
            result = self._norm(f"fmb_{n}", self._fmb(n, gates, tokens), ones)
            new["fmb"] = self._gated(result, weight["fmb"] * gates.count)
            hidden = 2 * gates.width.sum() * (present * RANK + gates.count.sum() * e)
            self._pay(weight["fmb"] * (4 * present * e * RANK + hidden))
        kept_x, kept_gate = x * gates.same_tokens, gates.same_tokens
        if "attention" in own:
            result = self._norm(f"attention_{n}", self._attention(n, tokens), ones)
            kept_x = kept_x + result * (weight["attention"] * gate)[:, None]
            kept_gate = (kept_gate + weight["attention"]).clamp(max=1)
            self._pay(weight["attention"] * (8 * present * e * e + 4 * present.square() * e))
        empty = Values(made[0][:, : self.slots.made], made[1][: self.slots.made])
        front = [new.get(op, empty) for op in ("lcb", "fmb")]
        rest = len(gate) - 2 * self.slots.made
        added = torch.cat([*(v.x for v in front), x.new_zeros(len(x), rest, e)], 1)
        added_gate = torch.cat([*(v.gate for v in front), torch.zeros(rest)])
        return Values(kept_x + added, (gate * kept_gate + added_gate).clamp(max=1))

    def _fmb(self, n: int, gates: BlockGates, tokens: Values) -> Tensor:
        """Computes the factorization machine block, (B, C, e)."""
        prefix = f"fmb_{n}.inner"
        x = (tokens.x @ (tokens.x.transpose(1, 2) @ self._of(f"{prefix}.machine.projection"))).flatten(1)
        x = self._norm(f"{prefix}", x, tokens.gate.repeat_interleave(RANK))
        x = relu(linear(x, self._of(f"{prefix}.mlp.0.weight"), self._of(f"{prefix}.mlp.0.bias"))) * gates.width
        x = linear(x, self._of(f"{prefix}.mlp.2.weight"), self._of(f"{prefix}.mlp.2.bias"))
        return x.unflatten(1, (-1, self.sizes.embedding_dim))

    def _attention(self, n: int, tokens: Values) -> Tensor:
        """Computes attention beside its residual connection, (B, T, e)."""
        prefix = f"attention_{n}.inner.attention"
        query, key, value = (
            part.unflatten(-1, (HEADS, -1)).transpose(1, 2)
            for part in linear(tokens.x, self._of(f"{prefix}.query_key_value.weight")).chunk(3, dim=-1)
        )
        scores = query @ key.transpose(2, 3) / key.shape[-1] ** 0.5 + tokens.gate.clamp(min=ABSENT).log()
        attended = (scores.softmax(-1) @ value).transpose(1, 2).flatten(2)
        return tokens.x + linear(attended, self._of(f"{prefix}.output.weight"), self._of(f"{prefix}.output.bias"))

    def _pairs(self, n: int, gates: BlockGates, tokens: Values) -> list[Values]:
        """Returns what `fm` and `dot` give, at their places."""
        own, e, T = self.weights.operations(n), self.sizes.embedding_dim, len(tokens.gate)
        B = len(tokens.x)
        fm = Values(torch.zeros(B, e), torch.zeros(e))
        dot = Values(torch.zeros(B, T * (T - 1) // 2), torch.zeros(T * (T - 1) // 2))
        if "fm" in own:
            weight = gates.operations["fm"]
            fm = self._gated(self._norm(f"fm_{n}", bi_interaction(tokens.x), torch.ones(e)), weight.expand(e))
        if "dot" in own:
            weight = gates.operations["dot"]
            first, second = torch.triu_indices(T, T, 1)
            both = tokens.gate[first] * tokens.gate[second]
            dots = (tokens.x @ tokens.x.transpose(1, 2))[:, first, second]
            dot = self._gated(self._norm(f"dot_{n}", dots, both), weight * both)
            self._pay(weight * 2 * tokens.gate.sum().square() * e)
        return [fm, dot]

    def _new_vectors(self, n: int, gates: BlockGates, tokens: Values, vectors: Values) -> tuple[Values, Values]:
        """Returns the block's vector of its width, and its cross."""
        own, weight = self.weights.operations(n), gates.operations
        flat = Values(tokens.x.flatten(1), tokens.gate.repeat_interleave(self.sizes.embedding_dim))
        both = Values(torch.cat([vectors.x, flat.x], 1), torch.cat([vectors.gate, flat.gate]))
        size, width = both.gate.sum(), gates.width.sum()
        total, whole = torch.zeros(len(both.x), len(gates.width)), torch.zeros(())
        cost = {"linear": 2 * size * width, "gate": 4 * size * width, "product": 2 * size * width}
        for op in (op for op in cost if op in own):
            if op == "product":
                x = self._linear(f"product_{n}.one", vectors.x) * self._linear(f"product_{n}.other", flat.x)
            else:
                x = self._linear(f"{op}_{n}.inner.0", both.x)
                x = relu(x) if op == "linear" else glu(x, dim=1)
            total = total + self._norm(f"{op}_{n}", x, gates.width) * weight[op]
            whole = whole + weight[op]
            self._pay(weight[op] * cost[op])
        cross = Values(torch.zeros_like(both.x), torch.zeros_like(both.gate))
        if "cross" in own:
            x = linear(
                linear(both.x, self._of(f"cross_{n}.inner.linear.0.weight")),
                self._of(f"cross_{n}.inner.linear.1.weight"),
            )
            x = both.x * (x + self._of(f"cross_{n}.inner.linear.1.bias")) + both.x
            cross = self._gated(self._norm(f"cross_{n}", x, both.gate), weight["cross"] * both.gate)
            self._pay(weight["cross"] * 4 * size * RANK)
        return Values(total * gates.width, whole.clamp(max=1) * gates.width), cross

    def _head(self, stream: _Stream, own: Values, inputs: Values) -> Tensor:
        e, raw = self.sizes.embedding_dim, self.gates.raw_out
        vectors, tokens = self._dense_again(stream.vectors, inputs, raw), stream.tokens
        parts = [vectors]
        out = self.gates.tokens_out
        parts.append(Values(tokens.x.flatten(1) * out, tokens.gate.repeat_interleave(e) * out))
        if True in self.slots.options.allowed("raw_out"):
            absent = raw * (1 - out * torch.stack(stream.raw).sum())
            F = self.sizes.num_sparse
            parts.append(Values(own.x[:, :F].flatten(1) * absent, absent.expand(F * e)))
        x, size = torch.cat([p.x for p in parts], 1), torch.cat([p.gate for p in parts]).sum()
        logits = torch.zeros(len(x))
        for head, weight in self.gates.heads.items():
            widths = [*(int(width) for width in head.split("-")), 1]
            y, before = x, size
            for n, width in enumerate(widths):
                name = f"head_{len(widths) - 1}.{n}"
                matrix = self._of(f"{name}.weight")[:width, : y.shape[1]]
                y = linear(y, matrix, self._of(f"{name}.bias")[:width])
                y = relu(y) if n < len(widths) - 1 else y
                self._pay(weight * 2 * before * width)
                before = torch.tensor(float(width))
            logits = logits + weight * y.squeeze(1)
        return logits

    def _dense_again(self, vectors: Values, inputs: Values, raw: Tensor) -> Values:
        """Adds the dense features for the head where they are not there any more."""
        N = self.sizes.num_dense
        missing = raw * (1 - vectors.gate[0])
        return Values(
            torch.cat([vectors.x[:, :N] + inputs.x[:, :N] * missing, vectors.x[:, N:]], 1),
            torch.cat([vectors.gate[:N] + missing, vectors.gate[N:]]),
        )

    def _gated(self, x: Tensor, gate: Tensor) -> Values:
        """Returns a result under the gates of its places, (places,)."""
        return Values(x * (gate[:, None] if x.dim() == 3 else gate), gate)

    def _norm(self, name: str, x: Tensor, gate: Tensor) -> Tensor:
        """Normalises the last axis over the places that are there; absent ones become 0."""
        count = gate.sum().clamp(min=ABSENT)
        away = x - (x * gate).sum(-1, keepdim=True) / count
        variance = (away.square() * gate).sum(-1, keepdim=True) / count
        normed = away / (variance + EPSILON).sqrt()
        return (normed * self._of(f"{name}.norm.weight") + self._of(f"{name}.norm.bias")) * gate

    def _linear(self, name: str, x: Tensor) -> Tensor:
        return linear(x, self._of(f"{name}.weight"), self._of(f"{name}.bias"))

    def _of(self, name: str) -> Tensor:
        return self.weights[name]

    def _pay(self, flops: Tensor) -> None:
        self.flops = self.flops + flops
