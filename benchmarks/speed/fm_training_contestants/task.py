"""What every contestant learns, a hidden logistic model over skewed ids and dense features; and their common sizes."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

CROSS_LAYERS = 3
CROSS_RANK = 64
MLP = [256, 128]
WUKONG_LAYERS = 3
WUKONG_RANK = 8
WUKONG_HIDDEN = [64]
WUKONG_DENSE_TOKENS = 13  # one a dense feature, as FuxiCTR has it
WUKONG_TOKENS = 8  # that an FMB and an LCB give; FuxiCTR counts their width, tokens x dim
EMBEDDING_LEARNING_RATE = 0.05  # row-wise Adagrad
LEARNING_RATE = 1e-3  # Adam, beside row-wise Adagrad
DENSE_LEARNING_RATE = 3e-3  # Adam over tables too: with 1e-3 the peers' tables, which begin near 0, lag behind

SKEW = 1.1  # exponent of the ids' power law
SPREAD = 2_654_435_761  # coprime to every table size of the form 10^k, so that frequent ids lie far apart
HELD_OUT = 1_000_000_000  # number of the first held-out batch


@dataclass(frozen=True)
class Task:
    """Sizes of the data, and where a model learns it."""

    rows: int  # of every table
    batch: int = 4096  # examples
    fields: int = 26  # categorical
    dense: int = 13
    dim: int = 16  # of an embedding
    ids: Literal["zipf", "uniform"] = "zipf"
    seed: int = 0
    device: Literal["cpu", "cuda"] = "cpu"  # cuda: ours and torchrec's alone


@dataclass(frozen=True)
class Batch:
    """B examples."""

    ids: npt.NDArray[np.int64]  # (B, fields)
    dense: npt.NDArray[np.float32]  # (B, dense)
    labels: npt.NDArray[np.float32]  # (B,)
    chances: npt.NDArray[np.float64]  # of a label 1, by the hidden model, (B,)


def make_batch(task: Task, number: int) -> Batch:
    """Makes a batch, always the same one for the same task and number."""
    random = np.random.default_rng([task.seed, number])
    uniform = random.random((task.batch, task.fields))
    if task.ids == "zipf":
        rank = (((task.rows + 1) ** (1 - SKEW) - 1) * uniform + 1) ** (1 / (1 - SKEW))  # in [1, rows + 1)
        rank = rank.astype(np.int64) - 1
    else:
        rank = (uniform * task.rows).astype(np.int64)
    rank = rank.clip(0, task.rows - 1)
    dense = random.standard_normal((task.batch, task.dense)).astype(np.float32)
    field = np.arange(task.fields)
    effect = np.sqrt(2) * np.sin(rank * (1.7 + 0.3 * field) + field)  # of each id: mean 0, variance 1
    crossed = effect[:, :-1:2] * effect[:, 1::2][:, : effect[:, :-1:2].shape[1]]
    logits = -1.5 + 0.3 * effect.sum(axis=1) + 0.2 * crossed.sum(axis=1) + 0.2 * dense @ np.cos(np.arange(task.dense))
    chances = 1 / (1 + np.exp(-logits))
    labels = (random.random(task.batch) < chances).astype(np.float32)
    return Batch(rank * SPREAD % task.rows, dense, labels, chances)


def normalized_entropy(labels: npt.NDArray[np.float32], chances: npt.NDArray[np.floating]) -> float:
    """Computes the log loss over that of always predicting the mean label."""

    def log_loss(p: npt.NDArray[np.floating] | np.floating) -> float:
        p = np.clip(p, 1e-7, 1 - 1e-7)
        return -float(np.mean(labels * np.log(p) + (1 - labels) * np.log(1 - p)))

    return log_loss(np.asarray(chances, np.float64)) / log_loss(labels.mean(dtype=np.float64))
