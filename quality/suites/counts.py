"""Checks of the windowed counts and of the history, which `examples` and the activity tables share."""

from itertools import pairwise

from config import Features
from quality.suite import Measure, no_row

RATE_ROUNDING = 1e-4  # click rates are float32 quotients
SECOND_US, DAY_US = 1_000_000, 86_400_000_000


def window_checks(entity: str, features: Features) -> list[Measure]:
    """Builds the checks of an entity's windows: valid values, longer windows hold more, rates are the quotient.

    Args:
        entity: `user` or `item`.
        features: the platform's windows.
    """
    windows = sorted(features.windows_days)
    checks: list[Measure] = []
    for window in windows:
        impressions, clicks, ctr = (f"{entity}_{what}_{window}d" for what in ("impressions", "clicks", "ctr"))
        checks += [valid_count(impressions), valid_count(clicks), valid_rate(ctr)]
        checks += [clicks_within_impressions(clicks, impressions)]
        checks += [
            no_row(
                f"{ctr}_wrong",
                f"abs({ctr} - {clicks} / greatest({impressions}, 1)) > {RATE_ROUNDING}",
                f"{ctr} is {clicks} / {impressions}",
            )
        ]
    for short, long in pairwise(windows):
        for what in ("impressions", "clicks"):
            column = f"{entity}_{what}_{short}d"
            checks += [
                no_row(
                    f"{column}_above_{long}d",
                    f"{column} > {entity}_{what}_{long}d",
                    f"The {long} days hold all {what} of the last {short}",
                )
            ]
    return checks


def cross_checks(crosses: tuple[str, ...]) -> list[Measure]:
    """Builds the checks of the (user, value) counts."""
    checks: list[Measure] = []
    for cross in crosses:
        impressions, clicks = f"user_{cross}_impressions", f"user_{cross}_clicks"
        checks += [
            valid_count(impressions),
            valid_count(clicks),
            clicks_within_impressions(clicks, impressions),
        ]
    return checks


def valid_count(column: str) -> Measure:
    """Builds the critical check that a count is a finite number, not negative."""
    return no_row(
        f"{column}_invalid",
        f'"{column}" IS NULL OR NOT isfinite("{column}") OR "{column}" < 0',
        f"{column} is never null, infinite or below 0",
    )


def valid_rate(column: str) -> Measure:
    """Builds the critical check that a click rate lies in [0, 1]."""
    return no_row(
        f"{column}_invalid",
        f'"{column}" IS NULL OR NOT isfinite("{column}") OR "{column}" NOT BETWEEN 0 AND 1',
        f"{column} is never null, below 0 or above 1",
    )


def clicks_within_impressions(clicks: str, impressions: str) -> Measure:
    """Builds the critical check that there are no more clicks than impressions."""
    return no_row(f"{clicks}_above_impressions", f'"{clicks}" > "{impressions}"', f"{clicks} is at most {impressions}")


def history_checks(features: Features) -> list[Measure]:
    """Builds the checks of a user's history: whole, bounded, ordered, and nothing that a row could not have known."""
    newest = f"epoch_us(event_timestamp) - {features.user_delay_s * SECOND_US}"
    oldest = f"epoch_us(event_timestamp) - {features.history_days * DAY_US}"
    return [
        no_row(
            "history_missing",
            "history_item_ids IS NULL OR history_labels IS NULL OR history_timestamps IS NULL",
            "The history is a list in every row, empty where there is none",
        ),
        no_row(
            "history_ragged",
            "len(history_item_ids) != len(history_timestamps) OR len(history_labels) != len(history_timestamps)",
            "The three history lists of a row are equally long",
        ),
        no_row(
            "history_too_long",
            f"len(history_timestamps) > {features.history_length}",
            f"A history holds at most features.history_length = {features.history_length} events",
        ),
        no_row(
            "history_leaks",
            f"list_max(history_timestamps) >= {newest}",
            "Every history event is before the row's event_timestamp minus features.user_delay_s",
        ),
        no_row(
            "history_too_old",
            f"list_min(history_timestamps) < {oldest}",
            f"No history event is older than features.history_days = {features.history_days}",
        ),
        no_row(
            "history_unordered",
            "history_timestamps != list_sort(history_timestamps)",
            "A history runs from its oldest event to its newest",
        ),
        no_row(
            "history_labels_invalid",
            "list_min(history_labels) < 0 OR list_max(history_labels) > 1",
            "Labels in a history are 0 or 1",
        ),
    ]
