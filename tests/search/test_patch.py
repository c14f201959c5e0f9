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


PLACES = [("foundation_model",), ("sources", "taobao_ad", "foundation_model"), ("sources", "files", "foundation_model")]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Returns a platform file: as shipped, with a source in flow style."""
    path = tmp_path / "platform.yaml"
    files = "  files: {path: x, first_day: 2020-01-01, last_day: 2020-01-09, bootstrap_days: 1, verticals: {all: {}}}\n"
    path.write_text(SHIPPED.read_text().replace("  synthetic:", files + "  synthetic:", 1))
    return path


@pytest.mark.parametrize("place", PLACES, ids=" ".join)
def test_the_patch_applies_and_changes_what_it_says_alone(
    file: Path, place: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped = file.read_text()
    monkeypatch.setenv("HEADWATER_SOURCE", place[1] if len(place) > 1 else "movielens")
    before = load_config(file)
    (file.parent / "winner.patch").write_text(patch(file, place, CHANGES, of="foundation_model"))
    subprocess.run(["git", "apply", "winner.patch"], cwd=file.parent, check=True)
    after = load_config(file)
    assert after == before.changed(foundation_model=CHANGES)
    assert after.foundation_model.hyperparameters == CHANGES["hyperparameters"]
    # Comments and every other line stay.
    old, new = shipped.splitlines(), file.read_text().splitlines()
    gone = [line for line in old if line not in new]
    if len(place) == 1:
        changed = ("  architecture: wukong", "  hyperparameters: {num_layers", "  optimizer: {batch_size: 512")
        assert gone == [line for line in old if line.startswith(changed) or line == "  embedding_dim: 32"]
        assert len(gone) == 4
    else:
        assert gone == [line for line in old if line.startswith("  files: {")] * (place[1] == "files")
        monkeypatch.setenv("HEADWATER_SOURCE", "movielens")
        assert load_config(file).foundation_model == load_config(SHIPPED).foundation_model


@pytest.mark.parametrize(("source", "vertical"), [("kuairand", "tab_4"), ("kuairand", "other"), ("files", "all")])
def test_a_patch_of_a_vertical_changes_its_model_alone(
    file: Path, source: str, vertical: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADWATER_SOURCE", source)
    before = load_config(file)
    changes = {name: value for name, value in CHANGES.items() if name != "first_embeddings"}
    place = ("sources", source, "verticals", vertical, "model")
    (file.parent / "winner.patch").write_text(patch(file, place, changes, of="vertical_model"))
    subprocess.run(["git", "apply", "winner.patch"], cwd=file.parent, check=True)
    after = load_config(file)
    assert after.of_vertical(vertical).vertical_model == before.vertical_model.changed(**changes)
    others = [name for name in after.verticals if name != vertical]
    assert all(after.of_vertical(name).vertical_model == before.vertical_model for name in others)


def test_a_second_patch_changes_the_first(file: Path) -> None:
    place = PLACES[1]
    once = patched(file.read_text(), place, CHANGES, of="foundation_model")
    twice = patched(once, place, {"first_embeddings": None, "optimizer": {"warmup_steps": 0}}, of="foundation_model")
    assert "learning_rate: 0.002, warmup_steps: 0}" in twice
    assert twice.count("first_embeddings") == once.count("first_embeddings") - 1
    with_it = once.replace("  embedding_dim: 32", "  embedding_dim: 32\n  first_embeddings: 0.1")
    assert "first_embeddings: null" in patched(
        with_it, place, {"first_embeddings": None}, of="foundation_model"
    ).replace("first_embeddings:\n", "first_embeddings: null\n")


def test_a_change_that_would_not_be_valid_is_refused(file: Path) -> None:
    for place in PLACES:
        with pytest.raises(ConfigError, match="embedding_dim"):
            patch(file, place, {"embedding_dim": -1}, of="foundation_model")
