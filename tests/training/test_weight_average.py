"""The average of weights: against the recursion written out, saved and loaded, put in place and taken out again."""

from pathlib import Path

import pytest
import torch

from training.checkpoint import load_optimizers, save_optimizers
from training.weight_average import WeightAverage, averages

SHAPES = [(3, 2), (4,), (2,)]


class Model:
    """Three weights under Adam, of which the first two are averaged; gradients depend on the step and the weight."""

    def __init__(self, decay: float) -> None:
        torch.manual_seed(0)
        self.weights = [torch.nn.Parameter(torch.randn(shape)) for shape in SHAPES]
        self.adam = torch.optim.Adam(self.weights, lr=0.1, fused=True)
        self.average = WeightAverage(self.adam, self.weights[:2], decay=decay)
        self.course: list[list[torch.Tensor]] = []  # the weights after each step

    def learn(self, first: int, last: int, *, without: int | None = None) -> "Model":
        for n in range(first, last + 1):
            for number, weight in enumerate(self.weights):
                wave = torch.sin(torch.arange(weight.numel(), dtype=torch.float32) + n).view_as(weight)
                weight.grad = None if number == without else wave
            self.adam.step()
            self.course.append([weight.detach().clone() for weight in self.weights])
        return self

    def judged(self) -> list[torch.Tensor]:
        with self.average.applied():
            return [weight.detach().clone() for weight in self.weights]


def recursion(course: list[torch.Tensor], decay: float, *, made: int = 0) -> torch.Tensor:
    """The average of a weight over a course, of which the first step was step `made` + 1 of its Adam."""
    average = course[0].double()
    for n, weight in enumerate(course, start=made + 1):
        keeps = min(decay, (1 + n) / (10 + n))
        average = keeps * average + (1 - keeps) * weight.double()
    return average.float()


@pytest.mark.parametrize("decay", [0.5, 0.999])  # the second: never reached in these steps
def test_the_average_is_the_recursion_written_out(decay: float):
    model = Model(decay).learn(1, 40)
    *averaged, third = model.judged()
    for number, average in enumerate(averaged):
        expected = recursion([step[number] for step in model.course], decay)
        torch.testing.assert_close(average, expected)
        assert not torch.allclose(average, model.weights[number])
    assert torch.equal(third, model.weights[2])


def test_what_is_learnt_does_not_depend_on_the_average():
    pairs = zip(Model(0.9).learn(1, 20).weights, Model(0.0).learn(1, 20).weights, strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_the_weights_are_back_in_place_whatever_happens():
    model = Model(0.9).learn(1, 5)
    with pytest.raises(RuntimeError, match="broken off"), model.average.applied():
        assert not torch.equal(model.weights[0], model.course[-1][0])
        raise RuntimeError("broken off")
    assert all(torch.equal(a, b) for a, b in zip(model.weights, model.course[-1], strict=True))
    again = model.judged()
    assert all(torch.equal(a, b) for a, b in zip(again, model.judged(), strict=True))


def test_it_is_saved_with_the_optimizer_and_goes_on(tmp_path: Path):
    whole = Model(0.999).learn(1, 30)
    stopped = Model(0.999).learn(1, 12)
    save_optimizers(tmp_path, {"dense": stopped.adam})
    after = Model(0.999)
    with torch.no_grad():
        for weight, saved in zip(after.weights, stopped.weights, strict=True):
            weight.copy_(saved)
    load_optimizers(tmp_path, {"dense": after.adam})
    assert all(torch.equal(a, b) for a, b in zip(after.judged(), stopped.judged(), strict=True))
    pairs = zip(after.learn(13, 30).judged(), whole.judged(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_it_may_be_turned_on_and_off_between_days(tmp_path: Path):
    first = Model(0.0).learn(1, 50)
    assert all(torch.equal(a, b) for a, b in zip(first.judged(), first.weights, strict=True))
    save_optimizers(tmp_path, {"dense": first.adam})
    second = Model(0.6)
    load_optimizers(tmp_path, {"dense": second.adam})
    assert all(torch.equal(a, b) for a, b in zip(second.judged(), second.weights, strict=True))
    second.learn(51, 60)
    # Its 51st step: the average begins there, and keeps at once what is asked for.
    torch.testing.assert_close(second.judged()[0], recursion([step[0] for step in second.course], 0.6, made=50))
    save_optimizers(tmp_path, {"dense": second.adam})
    third = Model(0.0)
    load_optimizers(tmp_path, {"dense": third.adam})
    # What was saved scores as it did; what learns, scores from its first step on.
    assert all(torch.equal(a, b) for a, b in zip(third.judged()[:2], second.judged()[:2], strict=True))
    third.learn(61, 61)
    assert not averages(third.adam)
    assert all(torch.equal(a, b) for a, b in zip(third.judged(), third.weights, strict=True))


def test_a_weight_that_takes_no_part_is_as_it_was():
    model = Model(0.9).learn(1, 10, without=1)
    assert torch.equal(model.judged()[1], model.weights[1])
    assert list(averages(model.adam)) == [0]
