"""How a process computes on CPUs."""

import platform

import torch


def use_cpu(*, threads: int) -> None:
    """Sets torch's threads, and lets oneDNN do its float32 matrix products where they stay float32.

    torch's default, MKL, leaves half of an AMD processor idle: 107 GFLOP/s of a core, oneDNN 252. torch hands products
    to oneDNN when told that bfloat16 is precise enough ("medium"). oneDNN makes use of that leave only where the
    processor multiplies bfloat16 in tiles (AMX), so there, and on other than x86 processors, the default stays.

    Args:
        threads: of one operation.
    """
    torch.set_num_threads(threads)
    exact = platform.machine() in {"x86_64", "AMD64"} and not torch.cpu.get_capabilities().get("amx_bf16", True)
    torch.set_float32_matmul_precision("medium" if exact else "highest")
