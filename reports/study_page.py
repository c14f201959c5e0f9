"""Renders the page of a search."""

from collections import Counter
from typing import Any

from reports import study_plots
from reports.pages import environment
from reports.study_facts import StudyFacts


def study_page(facts: StudyFacts) -> str:
    """Renders a search: HTML that needs nothing from outside; points of its plots open MLflow."""
    return (
        environment()
        .get_template("study.html")
        .render(
            facts=facts,
            counts=Counter(trial.status.replace("_", " ") for trial in facts.trials),
            fallbacks=sum(trial.fallback for trial in facts.trials),
            ordered=sorted(facts.trials, key=lambda t: (t.ne is None or t.status != "done", t.ne or 0.0, t.number)),
            plots=_plots(facts),
        )
    )


def _plots(facts: StudyFacts) -> dict[str, Any]:
    if facts.best is None:
        return {}
    hover = "a pointer over a trial names it, a click opens its MLflow run; red crosses were drawn at random"
    plots = {
        "best": {
            "svg": study_plots.best_so_far(facts.trials, label="NE of each trial by minutes of training"),
            "said": f"NE of each trial, and the lowest so far: {hover}",
        },
        "front": {
            "svg": study_plots.front(facts.trials, label="NE of each trial by FLOPs of an example"),
            "said": "NE against cost; the line joins the trials that none beats in both",
        },
    }
    if facts.importance:
        plots["importance"] = {
            "svg": study_plots.importance(facts.importance, label="Importance of each choice"),
            "said": "which choices explain the differences in NE (functional ANOVA over a random forest)",
        }
    if facts.drawn is not None:
        plots["graph"] = {
            "svg": study_plots.drawing(facts.graph, facts.outputs, label="Graph of the best model"),
            "said": f"the graph of trial {facts.drawn}, from what it reads to its logit",
        }
    return plots
