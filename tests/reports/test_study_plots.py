"""Plots of a search's page."""

from typing import Any

from reports.study_plots import drawing


def drawn(op: str, **others: dict[str, Any]) -> str:
    nodes: dict[str, dict[str, Any]] = {"first": {"op": op, "inputs": ["tokens"], "tokens": 4}} | others
    return drawing(nodes, list(nodes), label="graph")


def test_a_drawing_shows_every_reader_of_the_history() -> None:
    assert ">history</text>" in drawn("ask") and ">history</text>" not in drawn("lcb")
    interest = {"interest": {"op": "interest", "width": 32}}
    asked, unasked = drawn("ask", **interest), drawn("lcb", **interest)
    assert ">history</text>" in unasked
    assert asked.count("<path") == unasked.count("<path") + 2  # an edge and its head
