import polars as pl
import pytest

from config import load_config
from data.raw.original_files import OriginalFiles

ORIGINAL = OriginalFiles("Some Log", "https://example.org/log")


@pytest.fixture
def config(tmp_path):
    return load_config().changed(data_source="taobao_ad", sources={"taobao_ad": {"path": str(tmp_path)}})


def test_errors_say_where_the_files_come_from_and_where_to_name_them(config):
    advice = r"download Some Log from https://example.org/log and name its folder as sources\.taobao_ad\.path"
    with pytest.raises(FileNotFoundError, match=rf"lacks b\.csv: {advice}"):
        (ORIGINAL.folder(config) / "a.csv").touch()
        ORIGINAL.find(config, "a.csv", "b.csv")
    nowhere = config.changed(sources={"taobao_ad": {"path": None}})
    with pytest.raises(FileNotFoundError, match=rf"sources\.taobao_ad\.path is not set: {advice}"):
        ORIGINAL.find(nowhere, "a.csv")


def test_a_missing_column_is_named_beside_those_there_are(config, tmp_path):
    (tmp_path / "a.csv").write_text("user,clk \n1,0\n")
    with pytest.raises(ValueError, match=r"a\.csv lacks the columns time, pid; it has user, clk: download Some Log"):
        ORIGINAL.scan(config, tmp_path / "a.csv", {"clk": pl.Int64, "time": pl.Int64, "pid": pl.String})


def test_columns_get_their_types_and_spaces_around_their_names_do_not_count(config, tmp_path):
    (tmp_path / "a.csv").write_text("more,brand,clk \nx,NULL,1\ny,7,\n")
    rows = ORIGINAL.scan(config, tmp_path / "a.csv", {"clk": pl.Int64, "brand": pl.String}, null="NULL").collect()
    assert rows.schema == {"clk": pl.Int64, "brand": pl.String}
    assert rows.rows() == [(1, None), (None, "7")]


def test_an_empty_file_is_no_log(config, tmp_path):
    (tmp_path / "a.csv").touch()
    with pytest.raises(ValueError, match=r"a\.csv cannot be read: .*: download Some Log"):
        ORIGINAL.scan(config, tmp_path / "a.csv", {"clk": pl.Int64})
