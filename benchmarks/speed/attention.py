"""Attention over short sequences on a CPU: torch's fused kernel and plain products, by who multiplies matrices.

    python -m benchmarks.speed.attention

Milliseconds of one core, forward and backward, the median of several calls, kernels in turn. "onednn" is how foundation
models are trained on CPUs (`training.foundation.cpu`), "default" torch's own choice. `plain_speed_up_by_keys` is the
fused kernel's time over the plain one's with oneDNN; what `models.layers.attention.attend` chooses goes by it.
"""

import argparse
import statistics
import time
from itertools import product
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

from benchmarks.report import report

BATCH, HEADS, WIDTH = 512, 2, 8
KEYS = (18, 38, 50, 100, 128, 200)
PRECISIONS = {"default": "highest", "onednn": "medium"}
KERNELS = {"fused": SDPBackend.FLASH_ATTENTION, "plain": SDPBackend.MATH}


def main() -> None:
    """Measures both kernels at every length."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two short lengths, one call; figures are not kept")
    parser.add_argument("--repeats", type=int, default=9, help="calls (default 9)")
    a = parser.parse_args()
    torch.set_num_threads(1)
    lengths, repeats = (KEYS[:2], 1) if a.quick else (KEYS, a.repeats)
    found = {str(length): _measure(length, repeats) for length in lengths}
    report(
        "attention",
        {
            "milliseconds": found,
            "plain_speed_up_by_keys": {
                keys: round(of["onednn"]["fused"] / of["onednn"]["plain"], 2) for keys, of in found.items()
            },
        },
        command=f"python -m benchmarks.speed.attention --repeats {repeats}",
        packages=["torch"],
        keep=not a.quick,
    )


def _measure(length: int, repeats: int) -> dict[str, dict[str, float]]:
    torch.manual_seed(0)
    x = torch.randn(BATCH, length, 3 * HEADS * WIDTH, requires_grad=True)
    allowed = torch.rand(BATCH, 1, 1, length) < 0.8
    allowed[..., 0] = True
    taken: dict[tuple[str, str], list[float]] = {way: [] for way in product(PRECISIONS, KERNELS)}
    for _, (products, kernel) in product(range(1 + repeats), taken):
        torch.set_float32_matmul_precision(PRECISIONS[products])
        taken[products, kernel].append(_call(x, allowed, KERNELS[kernel]))
    torch.set_float32_matmul_precision("highest")
    result: dict[str, Any] = {name: {} for name in PRECISIONS}
    for (products, kernel), seconds in taken.items():
        result[products][kernel] = round(1e3 * statistics.median(seconds[1:]), 2)  # the first warms up
    return result


def _call(x: Tensor, allowed: Tensor, backend: SDPBackend) -> float:
    began = time.process_time()
    query, key, value = (part.unflatten(-1, (HEADS, -1)).transpose(1, 2) for part in x.chunk(3, dim=-1))
    with sdpa_kernel(backend):
        attended = scaled_dot_product_attention(query, key, value, attn_mask=allowed)
    attended.sum().backward()
    return time.process_time() - began


if __name__ == "__main__":
    main()
