"""What a supernet's paths may be, and what stands for models that they cannot be."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from search.supernet.options import Options
from tests.search.supernet.networks import RECIPE, options


def test_operations_without_shared_weights_are_not_searched() -> None:
    made = options()
    assert made.searched["tokens_1"] == ("none", "lcb", "fmb", "lcb+fmb", "attention")
    assert "asks" not in made.searched
    assert [choice.name for choice in made.choices] == list(made.searched)


def test_a_model_outside_is_judged_by_the_one_that_stands_for_it() -> None:
    made = options()
    plain = {name: values[0] for name, values in made.searched.items()}
    inside = made.complete(plain | {"tokens_1": "lcb+fmb", "count_1": 8, "tokens_out": True, "width_1": 64})
    outside = inside | {"tokens_1": "ensemble", "asks": 4, "embedding_dim": 32, "learning_rate": 0.004}
    assert made.nearest(outside) == inside == made.nearest(inside)


@pytest.mark.parametrize(
    ("fixed", "said"),
    [
        ({"asks": 4}, "no tokens that ask the history: fix asks at 0"),
        ({"tokens_1": "ensemble"}, r"has no ensemble; fix tokens_1 otherwise, such as at lcb\+fmb"),
        ({"tokens_9": "lcb"}, r"unknown: \['tokens_9'\]"),
        ({"head": "7"}, "'head' may not be '7'"),
    ],
)
def test_what_cannot_be_fixed_is_refused(fixed: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        options(fixed=fixed)


@pytest.mark.parametrize("name", list(RECIPE))
def test_what_paths_cannot_choose_must_be_fixed(name: str) -> None:
    fixed = {other: value for other, value in RECIPE.items() if other != name}
    with pytest.raises(ValueError, match=f"needs one value of {name}: fix them"):
        Options(options().space, fixed)


def test_under_a_low_cap_draws_are_made_valid() -> None:
    made = options()
    plain = {name: values[0] for name, values in made.searched.items()}
    low = replace(made, space=replace(made.space, cap=20 * made.space.cost(made.complete(plain))))
    drawn = [low.sample(np.random.default_rng(n)) for n in range(20)]
    assert all(low.space.refusal(params) is None for params in drawn)
    assert len({low.space.key(params) for params in drawn}) > 3
