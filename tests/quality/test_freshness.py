from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from data.schema import TIMESTAMP
from quality.freshness import ages_h, refuse_leaks

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


def outputs(*hours_after_noon: float | None) -> pa.Table:
    """Impressions from noon on, an hour apart; the FM of each had learnt until so many hours after noon."""
    until = [None if hours is None else NOON + timedelta(hours=hours) for hours in hours_after_noon]
    count = len(until)
    return pa.table(
        {
            "impression_id": [f"i{n}" for n in range(count)],
            "event_timestamp": pa.array([NOON + timedelta(hours=n) for n in range(count)], TIMESTAMP),
            "fm_version": ["v"] * count,
            "fm_learnt_until": pa.array(until, TIMESTAMP),
        }
    )


def test_what_was_learnt_before_the_impression_is_no_leak():
    refuse_leaks(outputs(0, 0.5, None, -20))  # learnt until an impression: without it
    refuse_leaks(outputs())


def test_an_fm_that_had_learnt_later_impressions_is_refused():
    with pytest.raises(ValueError, match=r"^2 impressions .* first i1 of 2026-01-02 13:00:00 by v, .* 13:00:01"):
        refuse_leaks(outputs(0, 1 + 1 / 3600, 2.5, None))


def test_the_age_of_what_the_fm_knows_is_in_hours_and_of_scored_rows():
    np.testing.assert_allclose(ages_h(outputs(-2, None, 0.5)), [2, 1.5])
