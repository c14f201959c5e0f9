"""Days that teach nothing: no rows, one label, one instant."""

import polars as pl

EMPTY = "empty"  # in the manifest of `events`: why nothing can be learnt from the day, where that is so


def why_empty(events: pl.DataFrame) -> str | None:
    """Says why nothing can be learnt from a day, or None if something can.

    Args:
        events: the day's rows in the common schema.
    """
    if not events.height:
        return "no rows"
    if events["label"].n_unique() == 1:
        return f"{'nothing but clicks' if events['label'][0] else 'no clicks'} among {events.height} rows"
    if events["event_timestamp"].n_unique() == 1:
        return f"all {events.height} rows are of one instant, so none can be held out"
    return None
