"""InterFormer: features and history keep their full size and exchange gated summaries (arXiv:2411.09852)."""

from typing import Annotated, Any, Literal, NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn

from config import Section
from models.architectures.architecture import Architecture, Count, Sizes
from models.layers.attention import AttentionPooling, SelfAttention
from models.layers.ensemble import EnsembleLayer
from models.layers.gating import Gate, Gating
from models.layers.interaction import LinearCompression
from models.layers.mlp import mlp
from models.layers.personalized import PersonalizedFeedForward

Number = Annotated[int, Field(ge=0)]
Backbone = Literal["dot", "dcn", "dhen"]
BRANCHES: dict[Backbone, tuple[str, ...]] = {"dot": ("dot",), "dcn": ("dcn",), "dhen": ("dot", "dcn")}


class InterFormerConfig(Section):
    """Hyperparameters."""

    num_layers: Count = 2
    num_summary: Count = 4  # rows of the features' summary, and so CLS rows of the history
    num_pma: Number = 2  # learned queries over the history
    num_recent: Number = 2  # newest steps in the history's summary
    num_heads: Count = 2
    backbone: Backbone = "dhen"
    backbone_layers: Count = 1  # ensemble layers in each interaction arch
    rank: Count = 32  # of the backbone's cross branch
    pffn: Literal["lowrank", "full", "none"] = "full"
    pffn_hidden: Count = 64  # of the full PFFN's MLP
    gate: Gate = "standard"
    rope: bool = True
    residual: bool = True  # around PFFN and attention, with a layer norm before the attention
    # int: both ways; n2s: features to history; s2n: history to features; sep: two towers; sole: history pooled early
    flow: Literal["int", "n2s", "s2n", "sep", "sole"] = "int"
    # literal: the last layer's summaries are scored (algorithm 1), so that L layers exchange L − 1 times;
    # fixed: one more summary of what the last layer puts out
    last_layer: Literal["fixed", "literal"] = "fixed"

    @property
    def to_history(self) -> bool:
        """Says whether the features' summary goes into the history."""
        return self.flow in ("int", "n2s")

    @property
    def to_features(self) -> bool:
        """Says whether the history's summary goes into the features' interaction."""
        return self.flow in ("int", "s2n")


class Streams(NamedTuple):
    """The two streams; P: CLS rows and steps, n_cls + T."""

    features: Tensor  # X, (B, N, d)
    history: Tensor  # S, CLS rows first, then steps, newest first, zero where padded, (B, P, d)
    mask: Tensor  # True where a row is filled, and for every CLS row, (B, P)


class MaskNet(nn.Module):
    """MLP_lce(S ⊙ mask(S)), step by step; the mask starts around 1 (section 3.1)."""

    def __init__(self, step_dim: int, embedding_dim: int) -> None:
        super().__init__()
        self.mask = mlp(step_dim, [step_dim], step_dim, activation=nn.SiLU)
        self.compress = mlp(step_dim, [embedding_dim], embedding_dim, activation=nn.SiLU)

    def forward(self, steps: Tensor) -> Tensor:
        """Maps (B, T, d + 2) to (B, T, d)."""
        return self.compress(steps * 2 * torch.sigmoid(self.mask(steps)))


class FeatureSummary(nn.Module):
    """X_sum = Gating(W X), W over tokens: the cross arch's half of the features (eq. 10)."""

    def __init__(self, config: InterFormerConfig, num_tokens: int, embedding_dim: int) -> None:
        super().__init__()
        self.compress = LinearCompression(num_tokens, config.num_summary)
        self.gate = Gating(embedding_dim, config.gate)

    def forward(self, features: Tensor) -> Tensor:
        """Maps (B, N, d) to (B, n_sum, d)."""
        return self.gate(self.compress(features))


class HistorySummary(nn.Module):
    """S_sum = Gating([CLS ‖ PMA ‖ recent]): the cross arch's half of the history (eq. 11)."""

    def __init__(self, config: InterFormerConfig, sizes: Sizes) -> None:
        super().__init__()
        self.num_cls = config.num_summary
        num_recent = min(config.num_recent, sizes.sequence_length)
        self.plain = self.num_cls + num_recent  # rows taken as they are
        self.pma: AttentionPooling | None = None
        if config.num_pma:
            self.pma = AttentionPooling(sizes.embedding_dim, num_queries=config.num_pma, num_heads=config.num_heads)
        self.gate = Gating(sizes.embedding_dim, config.gate)
        self.num_rows = self.plain + config.num_pma

    def forward(self, history: Tensor, mask: Tensor) -> Tensor:
        """Maps (B, P, d) and (B, P) to (B, n_cls + n_pma + K, d)."""
        rows = [history[:, : self.num_cls], history[:, self.num_cls : self.plain]]
        if self.pma is not None:
            rows.insert(1, self.pma(history, mask))
        return self.gate(torch.cat(rows, dim=1))


class SequenceArch(nn.Module):
    """S ← MHA(PFFN(X_sum, S)), rotary: CLS rows at position 0, the newest step at 1 (eqs 8 and 9)."""

    def __init__(self, config: InterFormerConfig, embedding_dim: int) -> None:
        super().__init__()
        self.num_cls, self.rope, self.residual = config.num_summary, config.rope, config.residual
        self.pffn: PersonalizedFeedForward | None = None
        if config.to_history and config.pffn != "none":
            self.pffn = PersonalizedFeedForward(
                embedding_dim,
                num_summary=config.num_summary,
                kind=config.pffn,
                hidden=config.pffn_hidden,
                residual=config.residual,
            )
        self.norm = nn.LayerNorm(embedding_dim) if config.residual else nn.Identity()
        self.attention = SelfAttention(embedding_dim, num_heads=config.num_heads)

    def forward(self, history: Tensor, mask: Tensor, summary: Tensor | None) -> Tensor:
        """Maps (B, P, d), (B, P) and, for the PFFN, (B, n_sum, d) to (B, P, d)."""
        if self.pffn is not None and summary is not None:
            history = self.pffn(summary, history)
        positions = None
        if self.rope:
            steps = torch.arange(history.shape[1], device=history.device)
            positions = (steps - self.num_cls + 1).clamp(min=0)
        attended = self.attention(self.norm(history), mask, positions)
        history = history + attended if self.residual else attended
        return history.masked_fill(~mask.unsqueeze(-1), 0.0)


class Layer(nn.Module):
    """Cross, interaction and sequence arch; both streams move on from the values of the layer before (algorithm 1).

    It has only the parts that its flow uses, so that no parameter is left without gradient.
    """

    def __init__(self, config: InterFormerConfig, sizes: Sizes, *, num_tokens: int, gives_cls: bool) -> None:
        super().__init__()
        self.feature_summary: FeatureSummary | None = None
        if config.to_history and (gives_cls or config.pffn != "none"):
            self.feature_summary = FeatureSummary(config, num_tokens, sizes.embedding_dim)
        self.history_summary: HistorySummary | None = None
        if config.to_features:
            self.history_summary = HistorySummary(config, sizes)
        rows = num_tokens + (self.history_summary.num_rows if self.history_summary is not None else 0)
        self.interaction = nn.Sequential()
        for _ in range(config.backbone_layers):
            self.interaction.append(
                EnsembleLayer(
                    rows,
                    sizes.embedding_dim,
                    num_outputs=num_tokens,
                    branches=BRANCHES[config.backbone],
                    rank=config.rank,
                )
            )
            rows = num_tokens
        self.sequence = None if config.flow == "sole" else SequenceArch(config, sizes.embedding_dim)

    def forward(self, x: Streams) -> Streams:
        """Takes one step of both streams."""
        summary = self.feature_summary(x.features) if self.feature_summary is not None else None
        features = x.features
        if self.history_summary is not None:
            features = torch.cat([features, self.history_summary(x.history, x.mask)], dim=1)
        history = x.history if self.sequence is None else self.sequence(x.history, x.mask, summary)
        return Streams(self.interaction(features), history, x.mask)


class InterFormer(Architecture):
    """Layers of cross, interaction and sequence arch, then both summaries side by side (section 3).

    B: batch, N: feature tokens, d: embedding width, T: history steps, n_sum = n_cls: rows of the features' summary,
    K: recent steps in the history's summary
    """

    Config = InterFormerConfig
    reads_sequence = True
    activation = nn.SiLU

    def __init__(self, config: InterFormerConfig, sizes: Sizes) -> None:
        super().__init__()
        embedding_dim = sizes.embedding_dim
        self.pools_early = config.flow == "sole"
        self.dense = nn.Linear(sizes.num_dense, embedding_dim)
        self.steps = MaskNet(sizes.step_dim, embedding_dim)
        num_tokens = sizes.num_sparse + (2 if self.pools_early else 1)
        num_layers = config.num_layers - (config.last_layer == "literal")
        self.layers = nn.ModuleList(
            Layer(config, sizes, num_tokens=num_tokens, gives_cls=number == 0) for number in range(num_layers)
        )
        self.feature_summary = FeatureSummary(config, num_tokens, embedding_dim)
        self.history_summary = None if self.pools_early else HistorySummary(config, sizes)
        self.cls: nn.Parameter | None = None  # CLS rows of a history that hears nothing of the features
        if not self.pools_early and not config.to_history:
            self.cls = nn.Parameter(torch.randn(1, config.num_summary, embedding_dim))
        rows = config.num_summary + (0 if self.history_summary is None else self.history_summary.num_rows)
        self.output_dim = rows * embedding_dim

    def start(self, tokens: Tensor, dense: Tensor, sequence: Tensor, mask: Tensor) -> Streams:
        """Returns X⁽¹⁾ and S⁽¹⁾, which begins with X_sum⁽¹⁾ as CLS."""
        features = torch.cat([tokens, self.dense(dense).unsqueeze(1)], dim=1)  # (B, F + 1, d)
        filled = mask.unsqueeze(-1)  # (B, T, 1)
        history = self.steps(sequence.masked_fill(~filled, 0.0)).masked_fill(~filled, 0.0)  # of each user once
        candidates = len(tokens) // len(sequence)
        history, mask, filled = (part.repeat_interleave(candidates, dim=0) for part in (history, mask, filled))
        if self.pools_early:
            mean = history.sum(dim=1) / filled.sum(dim=1).clamp(min=1)
            return Streams(torch.cat([features, mean.unsqueeze(1)], dim=1), history, mask)
        if self.cls is not None:
            cls = self.cls.expand(len(features), -1, -1)
        else:
            first: Any = next(iter(self.layers), self)  # both have a summary of the features
            cls = first.feature_summary(features)
        # A CLS row is never masked: it keeps the softmax of an empty history finite.
        mask = torch.cat([mask.new_ones(cls.shape[:2]), mask], dim=1)
        return Streams(features, torch.cat([cls, history], dim=1), mask)

    def streams(self, tokens: Tensor, dense: Tensor, sequence: Tensor, mask: Tensor) -> Streams:
        """Returns both streams after the last layer."""
        streams = self.start(tokens, dense, sequence, mask)
        for layer in self.layers:
            streams = layer(streams)
        return streams

    def forward(self, tokens: Tensor, dense: Tensor, sequence: Tensor, mask: Tensor) -> Tensor:
        """Returns (B, rows of both summaries · d)."""
        streams = self.streams(tokens, dense, sequence, mask)
        summary = self.feature_summary(streams.features)
        if self.history_summary is not None:
            summary = torch.cat([summary, self.history_summary(streams.history, streams.mask)], dim=1)
        return summary.flatten(1)
