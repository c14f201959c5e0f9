"""Imports flow one way: dags -> jobs -> search -> training, serving, reports -> quality, data, models -> storage."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MAY_IMPORT: dict[str, list[str]] = {
    "config": [],
    "storage": ["config"],
    "models": ["config"],
    "data": ["models", "storage", "config"],  # batches are the models' own input types
    "quality": ["data", "storage", "config"],
    "feature_repo": ["data", "storage", "config"],
    "training": ["models", "data", "quality", "storage", "config"],
    "serving": ["models", "data", "feature_repo", "storage", "config"],
    "reports": ["quality", "data", "storage", "config"],
    "search": ["training", "models", "data", "quality", "storage", "config"],
    "jobs": [
        "search",
        "training",
        "serving",
        "reports",
        "feature_repo",
        "quality",
        "data",
        "models",
        "storage",
        "config",
    ],
    "dags": ["config"],  # the scheduler imports no torch, no Spark: a job is known by its name
    "local": ["feature_repo", "storage", "config"],
}


def imported_roots(source: str) -> list[tuple[int, str]]:
    """Line and root package of every absolute import in a file, also of those inside functions."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name.split(".")[0]) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.append((node.lineno, node.module.split(".")[0]))
    return found


@pytest.mark.parametrize("root", MAY_IMPORT)
def test_imports_flow_one_way(root: str) -> None:
    files = sorted((ROOT / root).rglob("*.py")) if (ROOT / root).is_dir() else [ROOT / f"{root}.py"]
    wrong = [
        f"{file.relative_to(ROOT)}:{line} imports {name}; {root} may import {MAY_IMPORT[root]}"
        for file in files
        if file.exists()
        for line, name in imported_roots(file.read_text())
        if name != root and name in {*MAY_IMPORT, "benchmarks", "tests"} and name not in MAY_IMPORT[root]
    ]
    assert not wrong, "\n".join(wrong)


def test_an_import_against_the_flow_is_found() -> None:
    source = "import os\ndef f():\n    from jobs.ingest import main\n"
    assert imported_roots(source) == [(1, "os"), (3, "jobs")]


def test_every_package_of_the_repository_has_its_place_in_the_flow() -> None:
    packages = {p.parent.name for p in ROOT.glob("*/*.py")} | {p.stem for p in ROOT.glob("*.py")}
    assert packages - {"tests", "benchmarks", "docker"} <= set(
        MAY_IMPORT
    )  # docker: a script that imports nothing of it
