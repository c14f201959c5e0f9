"""What is done together, what waits, and what becomes of failures."""

import asyncio
import threading
from collections.abc import Sequence

import pytest

from serving.batching import Batches, Limits, Overloaded


class Doubling:
    """Doubles numbers, and remembers its batches; the first one waits to be let go."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.begun, self.go_on = threading.Event(), threading.Event()

    def __call__(self, numbers: Sequence[int]) -> list[int]:
        self.batches.append(list(numbers))
        self.begun.set()
        assert self.go_on.wait(timeout=30)
        if 13 in numbers:
            raise ZeroDivisionError("13")
        return [2 * number for number in numbers]


def after_a_first(numbers: list[int], **limits: int) -> tuple[list[list[int]], list[int | BaseException]]:
    """Asks for 1; while that is worked on, for the numbers. Returns the batches and what each was answered."""
    work = Doubling()

    async def ask() -> list[int | BaseException]:
        batches = Batches(work, lambda number: number, Limits(**{"requests": 9, "size": 99, "waiting": 9} | limits))
        first = asyncio.create_task(batches.result(1))
        await asyncio.to_thread(work.begun.wait, 30)
        others = [asyncio.create_task(batches.result(number)) for number in numbers]
        await asyncio.sleep(0)  # all of them have asked
        work.go_on.set()
        answers = await asyncio.gather(first, *others, return_exceptions=True)
        batches.close()
        return answers

    answers = asyncio.run(ask())
    return work.batches, answers


def test_what_waits_is_done_together_and_nobody_waits_for_company() -> None:
    batches, answers = after_a_first([5, 3, 4])
    assert batches == [[1], [5, 3, 4]]
    assert answers == [2, 10, 6, 8]


def test_a_batch_has_no_more_requests_and_no_more_size_than_the_limits() -> None:
    assert after_a_first([5, 3, 4, 2], requests=3)[0] == [[1], [5, 3, 4], [2]]
    assert after_a_first([5, 3, 4, 2], size=8)[0] == [[1], [5, 3], [4, 2]]
    assert after_a_first([50, 3], size=8)[0] == [[1], [50], [3]]  # larger than the limit: by itself


def test_what_fails_fails_for_its_batch_and_the_next_goes_on() -> None:
    batches, (first, bad, beside, after) = after_a_first([13, 3, 4], requests=2)
    assert batches == [[1], [13, 3], [4]]
    assert (first, after) == (2, 8)
    assert isinstance(bad, ZeroDivisionError) and isinstance(beside, ZeroDivisionError)


def test_when_too_many_wait_the_next_is_told_at_once() -> None:
    batches, answers = after_a_first([5, 3, 4], waiting=2)
    assert batches == [[1], [5, 3]] and answers[:3] == [2, 10, 6]
    assert isinstance(answers[3], Overloaded) and "2 requests wait already" in str(answers[3])


def test_one_that_gives_up_takes_nothing_from_the_others() -> None:
    work = Doubling()

    async def ask() -> list[int]:
        batches = Batches(work, lambda number: number, Limits(requests=9, size=99, waiting=9))
        first, gone, other = (asyncio.create_task(batches.result(number)) for number in (1, 2, 3))
        await asyncio.to_thread(work.begun.wait, 30)
        gone.cancel()
        work.go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await gone
        return [await first, await other, await batches.result(4)]

    assert asyncio.run(ask()) == [2, 6, 8]
