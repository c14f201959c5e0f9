import polars as pl
import pytest

from config import load_config
from data.raw.original_files import OriginalFiles

ORIGINAL = OriginalFiles("some_log", "Some Log", "https://example.org/log")


@pytest.fixture
def source(tmp_path):
    return load_config().source.changed(path=str(tmp_path))


def test_errors_say_where_the_files_come_from_and_where_to_name_them(source):
    advice = r"download Some Log from https://example.org/log and name its folder as sources\.some_log\.path"
    with pytest.raises(FileNotFoundError, match=rf"lacks b\.csv: {advice}"):
        (ORIGINAL.folder(source) / "a.csv").touch()
        ORIGINAL.find(source, "a.csv", "b.csv")
    with pytest.raises(FileNotFoundError, match=rf"sources\.some_log\.path is not set: {advice}"):
        ORIGINAL.find(source.changed(path=None), "a.csv")


def test_a_missing_column_is_named_beside_those_there_are(tmp_path):
    (tmp_path / "a.csv").write_text("user,clk \n1,0\n")
    with pytest.raises(ValueError, match=r"a\.csv lacks the columns time, pid; it has user, clk: download Some Log"):
        ORIGINAL.scan(tmp_path / "a.csv", {"clk": pl.Int64, "time": pl.Int64, "pid": pl.String})


def test_columns_get_their_types_and_spaces_around_their_names_do_not_count(tmp_path):
    (tmp_path / "a.csv").write_text("more,brand,clk \nx,NULL,1\ny,7,\n")
    rows = ORIGINAL.scan(tmp_path / "a.csv", {"clk": pl.Int64, "brand": pl.String}, null="NULL").collect()
    assert rows.schema == {"clk": pl.Int64, "brand": pl.String}
    assert rows.rows() == [(1, None), (None, "7")]


def test_an_empty_file_is_no_log(tmp_path):
    (tmp_path / "a.csv").touch()
    with pytest.raises(ValueError, match=r"a\.csv cannot be read: .*: download Some Log"):
        ORIGINAL.scan(tmp_path / "a.csv", {"clk": pl.Int64})
