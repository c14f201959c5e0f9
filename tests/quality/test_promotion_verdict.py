import json
from datetime import date

from quality.promotion_verdict import PromotionVerdict
from tests.reported_day import verdict

DAY = date(2026, 1, 2)


def test_what_is_written_is_read_back() -> None:
    given = verdict(DAY, "feed")
    written = json.loads(json.dumps(given.to_json(), allow_nan=False))
    assert PromotionVerdict.from_json(written) == given
    assert written["promoted"] is True and written["winner"] == "candidate"


def test_the_version_is_the_winners_or_else_the_candidates() -> None:
    versions = {"candidate": "3", "baseline": "4", "champion": "1"}
    for winner, version in (("candidate", "3"), ("baseline", "4"), (None, "3")):
        found = PromotionVerdict(day=DAY, vertical="feed", winner=winner, reasons=["x"], versions=versions)
        assert (found.version, found.promoted) == (version, winner is not None)
