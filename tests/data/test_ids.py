"""An id is one text, from whatever file or request it comes."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.ids import as_ids, as_text, ids_of_request


@pytest.mark.parametrize("value", [7, 7.0, np.int64(7), np.float64(7), np.float32(7), np.uint8(7), "7"])
def test_a_whole_number_of_any_kind_is_one_id(value: object) -> None:
    assert ids_of_request([value], "user_id") == ["7"]


@pytest.mark.parametrize("nobody", [None, float("nan"), np.float64("nan"), np.float32("nan"), pd.NA, pd.NaT, "", "  "])
def test_what_names_nobody_is_no_text(nobody: object) -> None:
    assert ids_of_request([nobody, "nan", nobody], "user_id") == [None, "nan", None]


@pytest.mark.parametrize("value", [2.0**53, np.float64(2**60), np.float32(2**60), -(2.0**53), float("inf")])
def test_a_float_that_cannot_hold_its_id_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match=r"user_id .* came as a float.* send ids as strings"):
        ids_of_request([7.0, value], "user_id")


def test_a_category_is_one_text_from_every_type_and_none_is_refused() -> None:
    written = ["1", "1.0", "1e+00", "-2.00", "007", "1.5", "1e5", "1e+16", " ", None]
    read = ["1", "1", "1", "-2", "007", "1.5", "1e5", "1e+16", None, None]
    assert as_text(pl.Series(written)).to_list() == read
    assert as_text(pl.Series(written, dtype=pl.Categorical)).to_list() == read
    assert as_text(pl.Series(["1.00", "1.50"]).cast(pl.Decimal(9, 2))).to_list() == ["1", "1.50"]
    for column in ([1, 2], [1.0, 2.0], ["1.0", "2.0"]):
        assert as_text(pl.Series(column)).to_list() == ["1", "2"]
    for truth in ([True, False, None], ["True", "False", None], ["true", "false", None]):
        assert as_text(pl.Series(truth)).to_list() == ["true", "false", None]


IDS = st.one_of(
    st.none(),
    st.text().filter(lambda text: not as_ids(pl.Series([text]))[1].item()),  # not "1e+300"
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.floats(allow_infinity=False).filter(lambda value: not abs(value) >= 2**53),
)


@given(st.lists(IDS, min_size=1))
def test_an_id_reads_alike_alone_in_a_mixed_request_and_in_a_column_of_a_log(values: list) -> None:
    together = ids_of_request(values, "user_id")
    assert together == [ids_of_request([value], "user_id")[0] for value in values]
    in_a_log = [None if value is None else as_ids(pl.Series([value]))[0].item() for value in values]
    assert together == in_a_log
