"""Load for a server of scores, in a process of its own: one request after another, as many as it takes, or at a rate.

    python -m benchmarks.speed.serving_load FILE --seconds 10 [--rate 200 | --at-once 8]

FILE has the URL and the bodies of requests, taken in turn. At a rate, requests come when they come (Poisson), whether
the ones before are answered or not, and a latency counts from when a request was due. The last line is JSON.
"""

import argparse
import asyncio
import json
import random
import time
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path
from typing import Any

import aiohttp

GRACE_S = 2.0  # an answer that comes later than this after the end counts as failed


class Load:
    """A server under load, and how long its answers took."""

    def __init__(self, session: aiohttp.ClientSession, url: str, bodies: Iterator[bytes]) -> None:
        """Has asked nothing yet."""
        self.session, self.url, self.bodies = session, url, bodies
        self.seconds: list[float] = []
        self.failed = 0

    async def ask(self, due: float) -> None:
        """Sends one request; counts from `due`, by time.perf_counter."""
        try:
            async with self.session.post(self.url, data=next(self.bodies)) as answer:
                await answer.read()
                good = answer.status == 200
        except aiohttp.ClientError:
            good = False
        self.seconds.append(time.perf_counter() - due)
        self.failed += not good

    async def one_by_one(self, seconds: float) -> None:
        """Asks, waits for the answer and asks again."""
        end = time.perf_counter() + seconds
        while (now := time.perf_counter()) < end:
            await self.ask(now)

    async def at_rate(self, rate: float, seconds: float) -> None:
        """Asks `rate` times a second on average."""
        generator = random.Random(0)
        started = due = time.perf_counter()
        asked: set[asyncio.Task[None]] = set()
        while due < started + seconds:
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            asked.add(asyncio.create_task(self.ask(due)))
            due += generator.expovariate(rate)
        _, unanswered = await asyncio.wait(asked, timeout=GRACE_S)
        for task in unanswered:
            task.cancel()
            self.seconds.append(GRACE_S)
        self.failed += len(unanswered)


async def measure(plan: dict[str, Any], *, seconds: float, rate: float | None, at_once: int) -> dict[str, Any]:
    """Loads the server; returns requests answered a second, and percentiles of the latency in ms."""
    bodies = cycle([body.encode() for body in plan["bodies"]])
    connector = aiohttp.TCPConnector(limit=0)
    headers = {"Content-Type": "application/json"}
    async with aiohttp.ClientSession(connector=connector, headers=headers) as session:
        load = Load(session, plan["url"], bodies)
        started = time.perf_counter()
        if rate:
            await load.at_rate(rate, seconds)
        else:
            await asyncio.gather(*(load.one_by_one(seconds) for _ in range(at_once)))
        wall = seconds if rate else time.perf_counter() - started
    taken = sorted(load.seconds)
    percentile = {f"p{p}_ms": round(1e3 * taken[min(len(taken) - 1, len(taken) * p // 100)], 2) for p in (50, 99)}
    return {"qps": round((len(taken) - load.failed) / wall, 1), "failed": load.failed, **percentile}


def main() -> None:
    """Runs one load."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("plan", type=Path)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--rate", type=float)
    parser.add_argument("--at-once", type=int, default=1)
    a = parser.parse_args()
    plan = json.loads(a.plan.read_text())
    print(json.dumps(asyncio.run(measure(plan, seconds=a.seconds, rate=a.rate, at_once=a.at_once))), flush=True)


if __name__ == "__main__":
    main()
