"""Where a model's values stand in the maximal layout that all models of a space share.

A maximal operation reads every token and every vector that any model could give it, each at a place of its own; a
model uses the rows and columns of what it has. Tokens that attention has changed keep their places. The network's
inputs, read again in block n, have places of their own.

e: embedding width, C: tokens that an lcb or an fmb makes at most, R: tokens that the inputs make at most
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from models.architectures.architecture import Sizes
from search.space import Params
from search.spaces.ranking import RANK
from search.supernet.options import Options

Places = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Axes:
    """The axes of the weights of a block's operations, by name: all places, or those that a model uses."""

    by_name: dict[str, Places]

    def __getitem__(self, name: str) -> Places:
        """Returns an axis's places."""
        return self.by_name[name]


@dataclass(frozen=True)
class Slots:
    """The maximal layout.

    Token places: lcb (C), fmb (C), inputs (R), inputs read again in block 2 (R), and so on for each block that may.
    Vector places, block after block: what its `width`, `fm`, `dot` and `cross` give, behind the inputs' own.
    """

    options: Options

    @cached_property
    def sizes(self) -> Sizes:
        """Returns the sizes of the networks' inputs."""
        return replace(self.options.space.inputs, embedding_dim=int(self.options.fixed["embedding_dim"]))

    @cached_property
    def made(self) -> int:
        """Returns C."""
        return max(self.options.most(f"count_{n}") for n in self.blocks)

    @cached_property
    def inputs(self) -> int:
        """Returns R."""
        return self.sizes.num_sparse + self.options.most("dense_tokens")

    @property
    def blocks(self) -> range:
        """Returns the blocks' numbers."""
        return range(1, self.options.blocks + 1)

    @cached_property
    def again(self) -> dict[int, int]:
        """Returns the first place of the inputs read again, by block."""
        may = [n for n in self.blocks if n > 1 and "all" in self.options.allowed(f"reads_{n}")]
        return {n: 2 * self.made + (1 + place) * self.inputs for place, n in enumerate(may)}

    def tokens(self, block: int) -> int:
        """Counts token places up to a block."""
        return 2 * self.made + self.inputs * (1 + sum(n <= block for n in self.again))

    @cached_property
    def _ends(self) -> dict[str, tuple[int, int]]:
        """Returns first place and length of every vector."""
        places: dict[str, tuple[int, int]] = {"dense": (0, self.sizes.num_dense)}
        end = self.sizes.num_dense
        lengths = {"interest": self.sizes.step_dim}
        for n in self.blocks:
            tokens = self.tokens(n)
            read = end + sum(lengths.values())
            lengths |= {
                f"width_{n}": self.options.most(f"width_{n}"),
                f"fm_{n}": self.sizes.embedding_dim,
                f"dot_{n}": tokens * (tokens - 1) // 2,
                f"cross_{n}": read + tokens * self.sizes.embedding_dim,
            }
            for name, length in lengths.items():
                places[name] = (end, length)
                end += length
            lengths = {}
        return places

    def vector(self, name: str) -> slice:
        """Returns the places of a vector, such as `dense` or `cross_2`."""
        first, length = self._ends[name]
        return slice(first, first + length)

    def vectors(self, block: int) -> int:
        """Counts the vector places that a block may read; one past the last block: the head."""
        return (
            self._ends["interest"][0] + self._ends["interest"][1]
            if block == 1
            else self.vector(f"cross_{block - 1}").stop
        )

    def pairs(self, block: int, tokens: Places) -> Places:
        """Returns the places of all pairs of tokens, ordered by the first, then by the second."""
        first, second = np.triu_indices(len(tokens), 1)
        low, high = np.minimum(tokens[first], tokens[second]), np.maximum(tokens[first], tokens[second])
        return low * self.tokens(block) - low * (low + 1) // 2 + high - low - 1

    def flat(self, tokens: Places) -> Places:
        """Returns the places of tokens' numbers where tokens lie one after another."""
        return _spread(tokens, self.sizes.embedding_dim)

    def whole(self, block: int) -> Axes:
        """Returns all places of a block's axes."""
        tokens, vectors = np.arange(self.tokens(block)), np.arange(self.vectors(block))
        width = np.arange(self.options.most(f"width_{block}"))
        return self._axes(block, tokens, vectors, width, count=self.made, of_block=tokens)

    def _axes(
        self, block: int, before: Places, vectors: Places, width: Places, *, count: int, of_block: Places
    ) -> Axes:
        flat = self.flat(of_block)
        most = self.options.most(f"width_{block}")
        return Axes(
            {
                "tokens": before,
                "products": _spread(before, RANK),
                "count": np.arange(count),
                "made": np.arange(count * self.sizes.embedding_dim),
                "vectors": vectors,
                "flat": flat,
                "both": np.concatenate([vectors, self.vectors(block) + flat]),
                "width": width,
                "two widths": np.concatenate([width, most + width]),
                "pairs": self.pairs(block, of_block),
            }
        )

    def of(self, params: Params) -> tuple[dict[int, Axes], Places]:
        """Returns the places that a model uses, block by block, and those of the head's inputs.

        Args:
            params: canonical.
        """
        e, first = self.sizes.embedding_dim, 2 * self.made
        own = {
            "tokens": first + np.arange(self.sizes.num_sparse),
            "dense_tokens": first + self.sizes.num_sparse + np.arange(int(params["dense_tokens"])),
        }
        if not params["dense_tokens"]:
            del own["dense_tokens"]
        places, stream = dict(own), list(own)  # `stream`: names of the tokens that the next operation reads
        inputs = ["dense", *(["interest"] if params["history"] else [])]
        at = {name: np.arange(*self.vector(name).indices(self.vector(name).stop)) for name in inputs}
        vectors = list(inputs)
        axes: dict[int, Axes] = {}
        for n in self.blocks:
            if params.get(f"reads_{n}", "previous") == "all":
                for name in [name for name in own if name not in stream]:
                    places[name] = own[name] - first + self.again[n]
                    stream.append(name)
                vectors += [name for name in inputs if name not in vectors]
            before = np.concatenate([places[name] for name in stream])
            kind, count = str(params[f"tokens_{n}"]), int(params[f"count_{n}"])
            if kind != "none":
                stream = [f"{op}_{n}" for op in kind.split("+")]
                makers = {f"lcb_{n}": np.arange(count), f"fmb_{n}": self.made + np.arange(count)}
                places |= {name: makers.get(name, before) for name in stream}
            after = np.concatenate([places[name] for name in stream])
            width = np.arange(int(params[f"width_{n}"]))
            read = np.concatenate([at[name] for name in vectors])
            axes[n] = self._axes(n, before, read, width, count=count, of_block=after)
            pairs, vector = params[f"pairs_{n}"], params[f"vector_{n}"]
            if vector != "none":
                vectors = [f"vector_{n}"]
                start = self.vector(f"cross_{n}" if vector == "cross" else f"width_{n}").start
                at[f"vector_{n}"] = start + (axes[n]["both"] if vector == "cross" else width)
            if pairs != "none":
                vectors = [f"pairs_{n}", *vectors]
                made = axes[n]["pairs"] if pairs == "dot" else np.arange(e)
                at[f"pairs_{n}"] = self.vector(f"{pairs}_{n}").start + made
        last = self.blocks[-1]
        ends = self.vectors(last + 1), self.vectors(last + 1) + self.tokens(last) * e
        outputs = [at[name] for name in vectors]
        if params["tokens_out"]:
            outputs += [ends[0] + self.flat(places[name]) for name in stream]
        if params["raw_out"]:
            outputs += [] if "dense" in vectors else [at["dense"]]
            if not (params["tokens_out"] and "tokens" in stream):
                outputs.append(ends[1] + np.arange(self.sizes.num_sparse * e))
        return axes, np.concatenate(outputs)

    @cached_property
    def outputs(self) -> int:
        """Counts what a head may read: vectors, the last tokens, and the tokens that came in."""
        last, e = self.blocks[-1], self.sizes.embedding_dim
        raw = self.sizes.num_sparse if True in self.options.allowed("raw_out") else 0
        return self.vectors(last + 1) + (self.tokens(last) + raw) * e


def _spread(places: Places, length: int) -> Places:
    """Returns the places of so many numbers for each."""
    return (places[:, None] * length + np.arange(length)).ravel()
