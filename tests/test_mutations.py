"""The list of mutations stays true to the code, and what tries them tells a caught one from one that survives."""

import subprocess
import sys

import pytest

from tests import mutations
from tests.mutations import MUTATIONS, ROOT, Mutation


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda m: m.name)
def test_a_mutations_old_text_is_found_once_and_its_tests_exist(mutation: Mutation):
    assert (ROOT / mutation.file).read_text().count(mutation.old) == 1
    assert mutation.new != mutation.old
    for test in mutation.tests.split():
        file, _, name = test.partition("::")
        assert f"def {name}" in (ROOT / file).read_text()


def test_mutations_have_names_of_their_own():
    assert len({mutation.name for mutation in MUTATIONS}) == len(MUTATIONS)


def test_a_mutation_that_no_test_catches_survives(tmp_path, capsys):
    (tmp_path / "sum.py").write_text("def total(a, b):\n    return a + b\n")
    (tmp_path / "test_sum.py").write_text(
        "from sum import total\n"
        "def test_loose():\n    assert total(0, 0) == 0\n"
        "def test_total():\n    assert total(1, 2) == 3\n"
    )
    wrong = Mutation("minus", "sum.py", "a + b", "a - b", "test_sum.py::test_total")
    assert mutations._try(tmp_path, wrong) == "killed"
    assert mutations._try(tmp_path, wrong._replace(tests="test_sum.py::test_loose")) == "SURVIVED"
    assert mutations._try(tmp_path, wrong._replace(old="a * b")) == "not found once"
    assert mutations._try(tmp_path, wrong._replace(tests="test_sum.py::test_gone")) == "ERROR: no test ran"
    assert (tmp_path / "sum.py").read_text().endswith("a + b\n")
    assert "killed: minus (sum.py)" in capsys.readouterr().out


def test_an_unknown_name_is_refused():
    command = [sys.executable, "-m", "tests.mutations", "no such"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "unknown: no such" in done.stdout
