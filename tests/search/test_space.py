import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.choices import Categorical, Integer, Real
from search.space import Space

MIXED = Space(
    (
        Categorical("kind", ("dcn", "dnn", 3)),
        Categorical("width", (8, 16, 64), ordered=True),
        Categorical("norm", (False, True)),
        Integer("layers", 1, 5),
        Integer("rows", 10, 100_000, log=True),
        Real("rate", 1e-5, 0.1, log=True),
        Real("dropout", 0, 0.5),
    )
)


class Stacked(Space):
    """The second layer's kind has no effect in a net of one layer; kind c may not come first."""

    def canonical(self, params):
        params = super().canonical(params)
        return params | {"second": "a"} if params["layers"] == 1 else params

    def refusal(self, params):
        return "c comes first" if params["first"] == "c" else None


KINDS = ("a", "b", "c")
STACKED = Stacked((Integer("layers", 1, 2), Categorical("first", KINDS), Categorical("second", KINDS)))


@given(st.integers(0, 2**32))
def test_what_is_encoded_is_decoded(seed):
    params = MIXED.sample(np.random.default_rng(seed))
    code = MIXED.encode(params)
    assert code.shape == (3 + 1 + 2 + 4,) and (code >= 0).all() and (code <= 1).all()
    decoded = MIXED.decode(code)
    assert {n: v for n, v in decoded.items() if n not in ("rate", "dropout")} == {
        n: v for n, v in params.items() if n not in ("rate", "dropout")
    }
    assert (decoded["rate"], decoded["dropout"]) == pytest.approx((params["rate"], params["dropout"]))


def test_codes_are_one_hot_or_places_on_the_scale():
    space = Space(
        (Categorical("k", ("x", "y", "z")), Categorical("w", (8, 16, 64), ordered=True), Real("r", 1, 100, log=True))
    )
    assert space.encode({"k": "y", "w": 16, "r": 10.0}) == pytest.approx([0, 1, 0, 0.5, 0.5])
    assert space.decode(np.array([0.2, 0.1, 0.9, 0.8, 2.0])) == {"k": "z", "w": 64, "r": 100.0}


@given(st.integers(0, 2**32))
def test_params_stand_json_and_keep_their_key(seed):
    params = MIXED.sample(np.random.default_rng(seed))
    again = json.loads(json.dumps(params))
    assert again == params and MIXED.key(again) == MIXED.key(params)
    assert MIXED.key(dict(reversed(params.items()))) == MIXED.key(params)  # whatever the order


def test_a_key_is_the_same_on_every_machine():
    space = Space((Categorical("a", (1, 2)), Real("b", 0, 1)))
    assert space.key({"a": 1, "b": 1}) == space.key({"a": 1.0, "b": 1.0}) == "386f210ad07c6df9"


def test_equal_models_have_equal_keys():
    one = {"layers": 1, "first": "b", "second": "c"}
    assert STACKED.key(one) == STACKED.key(one | {"second": "b"}) != STACKED.key(one | {"layers": 2})
    assert (STACKED.encode(one) == STACKED.encode(one | {"second": "a"})).all()


def test_samples_are_valid_canonical_and_reach_everything():
    rng = np.random.default_rng(0)
    drawn = {tuple(STACKED.sample(rng).values()) for _ in range(500)}
    assert drawn == {tuple(params.values()) for params in STACKED.everything()}
    assert drawn == {(1, k, "a") for k in "ab"} | {(2, k, s) for k in "ab" for s in "abc"}


@given(st.integers(0, 2**32))
def test_a_mutation_changes_one_choice_and_the_key(seed):
    rng = np.random.default_rng(seed)
    params = MIXED.sample(rng)
    mutated = MIXED.mutate(params, rng)
    assert sum(mutated[name] != params[name] for name in params) == 1 and MIXED.refusal(mutated) is None
    stacked = STACKED.sample(rng)
    other = STACKED.mutate(stacked, rng)
    assert STACKED.key(other) != STACKED.key(stacked) and STACKED.refusal(other) is None
    assert other == STACKED.canonical(other)


def test_the_size_counts_combinations():
    assert STACKED.size() == 18 and MIXED.size() is None
    assert Space((Integer("a", 3, 7), Categorical("b", (0, 1)))).size() == 10


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: Space(()), "at least one choice"),
        (lambda: Space((Real("a", 0, 1), Integer("a", 0, 1))), "two choices named 'a'"),
        (lambda: Categorical("a", ("x",)), "'a' needs at least two values"),
        (lambda: Categorical("a", ("x", "y", "x")), "'a' has a value twice"),
        (lambda: Categorical("a", (1, True)), "'a' has a value twice"),
        (lambda: Integer("a", 3, 3), "'a' needs low < high, it has 3 and 3"),
        (lambda: Real("a", 0, 1, log=True), "'a' is logarithmic, so low must be above 0"),
    ],
)
def test_a_wrong_space_is_refused(make, told):
    with pytest.raises(ValueError, match=told):
        make()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"kind": "cin"}, "'kind' may not be 'cin'; its values are"),
        ({"layers": 6}, "'layers' may not be 6; it is a whole number from 1 to 5"),
        ({"layers": 1.5}, "'layers' may not be 1.5"),
        ({"layers": float("inf")}, "'layers' may not be inf"),
        ({"rate": float("nan")}, "'rate' may not be nan"),
        ({"depth": 3}, r"have unknown \['depth'\]"),
    ],
)
def test_wrong_params_are_refused(change, told):
    with pytest.raises(ValueError, match=told):
        MIXED.key(MIXED.sample(np.random.default_rng(0)) | change)
    with pytest.raises(ValueError, match=r"lack \['kind'\]"):
        MIXED.encode({n: v for n, v in MIXED.sample(np.random.default_rng(0)).items() if n != "kind"})


def test_a_space_without_anything_valid_says_what_refuses_most():
    class Refusing(Space):
        def refusal(self, params):
            return "above the cap of FLOPs" if params["a"] else "no layer"

    space = Refusing((Categorical("a", (0, 1, 2)),))
    with pytest.raises(ValueError, match=r"in 10000 draws; refused most often: no layer"):
        space.sample(np.random.default_rng(0))


class Narrow(Space):
    """At most one of many layers: of 2**20 combinations, 21 are valid."""

    def refusal(self, params):
        return "above the cap" if sum(params.values()) > 1 else None


NARROW = Narrow(tuple(Categorical(f"layer_{n}", (0, 1)) for n in range(20)))


def test_where_valid_params_are_rare_draws_are_made_valid_and_still_reach_everything():
    rng = np.random.default_rng(0)
    drawn = [NARROW.sample(rng) for _ in range(400)]
    assert all(NARROW.refusal(params) is None for params in drawn)
    assert len({NARROW.key(params) for params in drawn}) >= 20
    assert drawn == [NARROW.sample(again) for again in [np.random.default_rng(0)] for _ in range(400)]
