"""The change of platform.yaml that a search proposes."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from config import ROOT, ConfigError, load_config
from search.patch import patch, patched

SHIPPED = ROOT / "platform.yaml"
CHANGES: dict[str, Any] = {
    "architecture": "graph",
    "hyperparameters": {"nodes": {"a": {"op": "linear", "inputs": ["dense"], "width": 64}}, "outputs": ["a"]},
    "embedding_dim": 16,
    "optimizer": {"learning_rate": 0.002, "warmup_steps": 50},
    "first_embeddings": 0.05,
}


def test_the_patch_applies_and_changes_what_it_says_alone(tmp_path: Path) -> None:
    file = tmp_path / "platform.yaml"
    file.write_text(SHIPPED.read_text())
    (tmp_path / "winner.patch").write_text(patch(file, "foundation_model", CHANGES))
    subprocess.run(["git", "apply", "winner.patch"], cwd=tmp_path, check=True)
    before, after = load_config(SHIPPED), load_config(file)
    assert after == before.changed(foundation_model=CHANGES)
    assert after.foundation_model.hyperparameters == CHANGES["hyperparameters"]
    # Comments and every other line stay.
    old, new = SHIPPED.read_text().splitlines(), file.read_text().splitlines()
    assert [line for line in old if line not in new] == [
        line for line in old if line.startswith(("  architecture: wukong", "  hyperparameters: {num_layers"))
    ] + ["  embedding_dim: 32", "  optimizer: {batch_size: 512, learning_rate: 0.001, embedding_learning_rate: 0.05}"]


def test_a_value_of_none_removes_its_key() -> None:
    with_it = patched(SHIPPED.read_text(), "foundation_model", {"first_embeddings": 0.05})
    assert "first_embeddings: 0.05" in with_it
    assert patched(with_it, "foundation_model", {"first_embeddings": None}) == SHIPPED.read_text()


def test_a_change_that_would_not_be_valid_is_refused() -> None:
    with pytest.raises(ConfigError, match="embedding_dim"):
        patch(SHIPPED, "foundation_model", {"embedding_dim": -1})
