"""Requests that wait while others are being worked on are done together next; nobody waits for company."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Request = TypeVar("Request")
Result = TypeVar("Result")


class Overloaded(Exception):
    """So many requests wait that another one would be answered too late."""


@dataclass(frozen=True)
class Limits:
    """How much is done at once, and how much may wait."""

    requests: int  # of a batch
    size: int  # of a batch's requests together; a single one may be larger
    waiting: int  # requests


@dataclass
class Batches(Generic[Request, Result]):
    """Hands batches to one thread, one after the other; belongs to one event loop.

    Attributes:
        work: does a batch, in the thread; returns a result a request, in their order. What it raises, all its requests
            raise.
        size_of: how much of `limits.size` a request takes.
        limits: of batches and queue.
    """

    work: Callable[[Sequence[Request]], Sequence[Result]]
    size_of: Callable[[Request], int]
    limits: Limits
    _waiting: deque[tuple[Request, asyncio.Future[Result]]] = field(default_factory=deque)
    _thread: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "batches"))
    _worker: asyncio.Task[None] | None = None

    async def result(self, request: Request) -> Result:
        """Returns the result of a request, once a batch with it is done.

        Raises:
            Overloaded: `limits.waiting` requests wait already.
        """
        if len(self._waiting) >= self.limits.waiting:
            raise Overloaded(f"{len(self._waiting)} requests wait already")
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((request, future))
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._empty())
        return await future

    def close(self) -> None:
        """Ends the thread, after the batch that it does."""
        self._thread.shutdown()

    async def _empty(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            batch = self._next()
            try:
                results = await loop.run_in_executor(self._thread, self.work, [request for request, _ in batch])
            except Exception as error:
                for _, future in batch:
                    if not future.done():
                        future.set_exception(error)
                continue
            for (_, future), result in zip(batch, results, strict=True):
                if not future.done():  # else whoever asked has gone
                    future.set_result(result)

    def _next(self) -> list[tuple[Request, asyncio.Future[Result]]]:
        """Takes the requests that have waited longest, one at least, as many as the limits allow."""
        batch = [self._waiting.popleft()]
        size = self.size_of(batch[0][0])
        while self._waiting and len(batch) < self.limits.requests:
            size += self.size_of(self._waiting[0][0])
            if size > self.limits.size:
                break
            batch.append(self._waiting.popleft())
        return batch
