import polars as pl
import pytest

from config import Vertical
from data.verticals import assign_verticals

EVENTS = pl.DataFrame({"item_id": ["a", "b", "c", "d"], "label": [0, 1, 0, 1], "tab": ["1", "0", "9", None]})


def test_the_first_filter_that_takes_a_row_wins_and_the_rest_goes_to_the_vertical_without_one():
    verticals = {
        "rest": Vertical(),
        "main": Vertical(column="tab", values=["1"]),
        "both": Vertical(column="tab", values=["0", "1"]),
    }
    assigned = assign_verticals(EVENTS, verticals)
    assert assigned["vertical"].to_list() == ["main", "both", "rest", "rest"]
    assert assigned.columns == ["item_id", "vertical", "label", "tab"]


def test_a_row_that_no_vertical_takes_has_none():
    assigned = assign_verticals(EVENTS, {"main": Vertical(column="tab", values=["1", "0"])})
    assert assigned["vertical"].to_list() == ["main", "main", None, None]
    assert assign_verticals(EVENTS.head(0), {"rest": Vertical()})["vertical"].dtype == pl.String


@pytest.mark.parametrize("value", ["1", "1.0"])
@pytest.mark.parametrize("column", [["1", "2"], [1, 2], [1.0, 2.0]])
def test_a_filter_and_its_column_may_write_a_whole_number_as_a_float(value, column):
    events = EVENTS.head(2).with_columns(pl.Series("tab", column))
    verticals = {"main": Vertical(column="tab", values=[value]), "rest": Vertical()}
    assert assign_verticals(events, verticals)["vertical"].to_list() == ["main", "rest"]


def test_a_filter_on_an_unknown_column_names_it_and_the_known_ones():
    with pytest.raises(ValueError, match=r"verticals.main.column is 'tabb'.*item_id, label, tab"):
        assign_verticals(EVENTS, {"main": Vertical(column="tabb", values=["1"])})
