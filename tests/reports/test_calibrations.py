from datetime import date

from quality.promotion_verdict import PromotionVerdict
from reports.calibrations import calibrations
from tests.reported_day import verdict

DAY = date(2026, 1, 2)


def test_a_layer_is_told_with_what_it_changed_and_what_it_was_fitted_on() -> None:
    (row,) = calibrations(verdict(DAY, "feed"), 20)
    assert (row.model, row.layer) == ("candidate", "logit × 0.900 -0.120")
    assert row.changed == {"ne": ("0.9300", "0.9100"), "ece": ("0.2500", "0.2000"), "calibration": ("1.310", "1.000")}
    assert row.fitted_on == "70 held-out rows with 20 clicks of 2026-01-01"


def test_too_few_clicks_are_told_and_a_day_without_verdict_has_no_rows() -> None:
    (row,) = calibrations(verdict(DAY, "feed"), 21)
    assert row.fitted_on.startswith("too little: 70 held-out rows with 20 clicks")
    assert calibrations(PromotionVerdict.none(DAY, "feed", "x"), 21) == []
