"""Matrix products stay those of float32, whichever library does them."""

from collections.abc import Iterator

import pytest
import torch

from training.foundation.cpu import use_cpu


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    threads, precision = torch.get_num_threads(), torch.get_float32_matmul_precision()
    yield
    torch.set_num_threads(threads)
    torch.set_float32_matmul_precision(precision)


@pytest.mark.parametrize("batched", [False, True])
def test_products_are_as_exact_as_float32_ones(batched: bool):
    use_cpu(threads=1)
    torch.manual_seed(0)
    a, b = torch.randn(*([8] * batched), 512, 448), torch.randn(*([8] * batched), 448, 256)
    exact = a.double() @ b.double()
    error = (a @ b - exact).abs().max() / exact.abs().max()
    assert error < 4e-6  # bfloat16 operands give 3e-3
    rounded = (a.bfloat16().double() @ b.bfloat16().double() - exact).abs().max() / exact.abs().max()
    assert rounded > 1e-4  # what the line above would not let pass


@pytest.mark.parametrize("capabilities", [{"amx_bf16": True}, {}])
def test_where_products_would_be_rounded_the_default_stays(
    monkeypatch: pytest.MonkeyPatch, capabilities: dict[str, bool]
):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    use_cpu(threads=1)
    assert torch.get_float32_matmul_precision() == "highest"


def test_other_processors_keep_the_default(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    use_cpu(threads=1)
    assert torch.get_float32_matmul_precision() == "highest"
