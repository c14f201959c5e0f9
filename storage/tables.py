"""The catalogue: every table, the job that writes it, what that job has read by then, and what a row is.

A dated table has one partition a platform day. What is read may be of the day or of days before it. Lineage, the checks
of quality, the report's list of what is missing, and the tests of the jobs' documentation follow from this list.
"""

from dataclasses import dataclass
from typing import Literal, get_args

Stage = Literal["events", "features"]  # of check_quality


@dataclass(frozen=True)
class Table:
    """A table of the lake."""

    name: str  # of a vertical's table, without the vertical
    writer: str  # the job
    reads: tuple[str, ...]  # tables; a vertical's are of the same vertical
    holds: str  # what a row is, or what the folder holds
    per_vertical: bool = False  # there is one a vertical, NAME_VERTICAL
    checked_in: Stage | None = None  # the stage of check_quality that judges it
    needed: bool = True  # False: a day is whole without it


EVENTS = ("events",)
FEATURES = ("examples", "user_activity", "item_activity")
VIEWS = ("user_activity", "item_activity", "user_fm_history", "item_fm_embedding")  # what Feast serves
GATE_RESULTS = ("gate_results_events", "gate_results_features")
SCORED = ("examples", "fm_snapshots")
LEARNT = (*SCORED, "fm_outputs")
DISTILLED = ("vertical_examples", "fm_snapshots", "candidates", "baselines", "evaluations", "fm_evaluations")
TRANSFER = ("vertical_examples", "fm_outputs", "examples")

TABLES = (
    Table("quarantine", "ingest", (), "a row of the raw log that cannot be used, with the reason"),
    Table("events", "ingest", (), "an impression in the common schema", checked_in="events"),
    Table("gate_results_events", "check_quality", EVENTS, "a check and its outcome"),
    Table("user_activity", "extract_features", EVENTS, "a user as of a day's end", checked_in="features"),
    Table("item_activity", "extract_features", EVENTS, "an item as of a day's end", checked_in="features"),
    Table("examples", "extract_features", EVENTS, "an impression with its features", checked_in="features"),
    Table("gate_results_features", "check_quality", (*FEATURES, *EVENTS), "a check and its outcome"),
    Table("fm_outputs", "train_foundation", SCORED, "an impression with the FM's soft label and code"),
    Table("fm_evaluations", "train_foundation", LEARNT, "a held-out impression with the fresh FM's probability"),
    Table("fm_snapshots", "train_foundation", (*LEARNT, "fm_evaluations"), "the FM and its optimizers as the day ends"),
    Table("user_fm_history", "materialize_features", ("fm_outputs",), "a user's newest codes as of a day's end"),
    Table("item_fm_embedding", "materialize_features", ("fm_outputs",), "an item's mean code as of a day's end"),
    Table("vertical_examples", "materialize_features", ("fm_outputs", *VIEWS), "an impression as Feast joins it"),
    Table("candidates", "distill_vertical", DISTILLED, "a vertical model with its training state", per_vertical=True),
    Table("baselines", "distill_vertical", DISTILLED, "the same without the FM", per_vertical=True),
    Table(
        "evaluations",
        "distill_vertical",
        DISTILLED,
        "a held-out impression with the probability of each model",
        per_vertical=True,
    ),
    Table(
        "verdicts",
        "promote_vertical",
        (
            "candidates",
            "baselines",
            "evaluations",
            "verdicts",
            "gate_results_events",
            "gate_results_features",
            *EVENTS,
            *FEATURES,
        ),
        "a held-out impression as each contender and the champion predicted it; the manifest has the decision",
        per_vertical=True,
    ),
    Table("gain_parts", "track_transfer", TRANSFER, "a part of the gain from the FM", per_vertical=True, needed=False),
    Table(
        "explanations",
        "explain_transfer",
        (*TRANSFER, "fm_snapshots"),
        "explanation.json and waterfall.svg",
        per_vertical=True,
        needed=False,
    ),
)


def names(table: Table, verticals: list[str]) -> list[str]:
    """Returns the names of a table's folders: one, or one a vertical."""
    return [f"{table.name}_{vertical}" for vertical in verticals] if table.per_vertical else [table.name]


def checked_tables() -> dict[str, tuple[str, ...]]:
    """Returns the tables that each stage of check_quality judges, in the order of the day."""
    return {stage: tuple(table.name for table in TABLES if table.checked_in == stage) for stage in get_args(Stage)}
