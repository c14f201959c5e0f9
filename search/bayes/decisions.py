"""The ways of deciding, by name."""

from collections.abc import Callable

from search.bayes.binoculars import Binoculars
from search.bayes.decision import Decision
from search.bayes.improvement import Improvement
from search.bayes.knowledge_gradient import KnowledgeGradient
from search.bayes.multi_step import MultiStep
from search.bayes.pareto import Pareto

DECISIONS: dict[str, Callable[..., Decision]] = {
    "log_ei": Improvement,
    "knowledge_gradient": KnowledgeGradient,
    "binoculars": Binoculars,
    "multi_step": MultiStep,
    "pareto": Pareto,
}
