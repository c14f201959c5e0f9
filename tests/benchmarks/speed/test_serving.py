"""What the load generator counts, and what the serving benchmark compares."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from benchmarks.speed.serving import _compared
from benchmarks.speed.serving_load import measure

SECONDS = 0.02  # that the server takes for a request


def loaded(answer: Callable[[web.Request], Awaitable[web.Response]], **load: Any) -> dict[str, Any]:
    """Loads a server of one function, which is asked for 1 and for 2 in turn."""

    async def run() -> dict[str, Any]:
        app = web.Application()
        app.router.add_post("/score", answer)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        plan = {"url": f"http://127.0.0.1:{port}/score", "bodies": [json.dumps(1), json.dumps(2)]}
        found = await measure(plan, **{"rate": None, "at_once": 1} | load)
        await runner.cleanup()
        return found

    return asyncio.run(run())


def test_a_latency_counts_from_when_the_request_was_due() -> None:
    turn = asyncio.Lock()  # one request at a time: at twice the rate it can take, requests wait longer and longer

    async def answer(request: web.Request) -> web.Response:
        async with turn:
            await asyncio.sleep(SECONDS)
        return web.Response()

    alone = loaded(answer, seconds=1.0)
    assert alone["p50_ms"] >= 1e3 * SECONDS and alone["qps"] <= 1 / SECONDS and not alone["failed"]
    turn = asyncio.Lock()
    late = loaded(answer, seconds=1.0, rate=2 / SECONDS)
    assert late["p99_ms"] >= 1e3 * 0.4  # at the end half a second's work waits
    assert late["p50_ms"] > 2 * 1e3 * SECONDS


def test_what_is_not_answered_with_200_has_failed() -> None:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(status=200 if await request.json() == 1 else 503)

    found = loaded(answer, seconds=0.5, at_once=4)
    assert found["failed"] > 0 and found["qps"] > 0


def test_doors_are_compared_where_both_answer_in_time() -> None:
    doors = {
        "ours": {"1": {"qps": 300.0}, "500": {"qps": 50.0}, "100": {"qps_never_idle": 9.0}},
        "mlflow": {"1": {"qps": 60.0}, "500": {"qps_never_idle": 8.0}, "100": {"qps": 5.0}},
    }
    cores_1 = _compared(doors, {"1": 3000.0, "500": 1e6, "100": 1.0}, cores=1)
    assert cores_1["qps_over_mlflow"] == {"1": 5.0, "500": None, "100": None}
    assert cores_1["share_of_network"] == {"1": 0.1, "500": 0.025, "100": 0.0}
