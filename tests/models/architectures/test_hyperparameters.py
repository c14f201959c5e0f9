"""One mapping of hyperparameters goes to two Configs."""

import pytest
from pydantic import ValidationError

from models.architectures import ARCHITECTURES
from models.architectures.hyperparameters import split_hyperparameters
from models.foundation.head import Head
from models.vertical.network import VerticalNetwork

DLRM = ARCHITECTURES["dlrm"]


def test_each_config_gets_its_own():
    inner, head = split_hyperparameters({"bottom": [7], "head": [5, 3]}, DLRM, Head.Config, model="foundation model")
    assert (inner, head) == (DLRM.Config(bottom=[7]), Head.Config(head=[5, 3]))
    inner, head = split_hyperparameters({}, DLRM, Head.Config, model="foundation model")
    assert (inner, head) == (DLRM.Config(), Head.Config())


def test_an_unknown_one_is_answered_with_the_known_ones():
    with pytest.raises(
        ValueError, match=r"^Unknown hyperparameters 'haed', 'rank': a foundation model .* DLRM has bottom, head\.$"
    ):
        split_hyperparameters({"rank": 1, "haed": [1], "head": [1]}, DLRM, Head.Config, model="foundation model")


@pytest.mark.parametrize("wrong", [{"bottom": [0]}, {"head": []}])
def test_a_wrong_value_is_named(wrong):
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        split_hyperparameters(wrong, DLRM, Head.Config, model="foundation model")


@pytest.mark.parametrize("around", [Head.Config, VerticalNetwork.Config])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_no_name_belongs_to_both(name, around):
    assert not ARCHITECTURES[name].Config.model_fields.keys() & around.model_fields.keys()
