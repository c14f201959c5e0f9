from pathlib import Path

import pytest

from tests.newcomers_log import Log, make_log


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return make_log(tmp_path)
